_base_ = './sepvit_t_imagenet.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    head=dict(in_channels=1024),
)
# The paper's settings for ImageNet: 0.05 for all but Base, 0.1 for Base.
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
# Twenty epochs of warmup instead of five.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=20, end=300),
]
