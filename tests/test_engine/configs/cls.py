# The published ImageNet recipe on a small network.
_base_ = '../../../configs/sepvit_t_imagenet.py'
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            depths=(1, 1, 1, 1),
            channels=(8, 16, 16, 16),
            num_heads=(1, 1, 1, 1),
            window_sizes=((7,), (7,), (7,), (7,)),
        ),
    ),
    head=dict(in_channels=16),
)
randomness = dict(seed=0)  # tests compare runs
