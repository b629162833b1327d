# The published segmentation recipe on a network of a few thousand parameters, for seconds a test.
_base_ = '../../../configs/fpn_sepvit_t_ade20k.py'
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
    neck=dict(in_channels=[8, 16, 16, 16], out_channels=8),
    decode_head=dict(in_channels=[8, 8, 8, 8], channels=8),
)
randomness = dict(seed=0)  # tests compare runs
