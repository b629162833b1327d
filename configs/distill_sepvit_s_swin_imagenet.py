_base_ = './distill_sepvit_t_swin_imagenet.py'
model = dict(
    backbone=dict(arch='small'),
    teachers=dict(
        arch='small',
        init_cfg=dict(checkpoint='checkpoints/swin_small_224_b16x64_300e_imagenet_20210615_110219-7f9d988b.pth'),
    ),
)
