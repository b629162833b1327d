_base_ = './distill_sepvit_t_dinov2_imagenet.py'
model = dict(
    backbone=dict(arch='small'),
    teachers=dict(
        arch='base',
        init_cfg=dict(checkpoint='checkpoints/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth'),
    ),
    pairs=[
        dict(student=2, teacher=0, channels=768),
        dict(student=3, teacher=0, channels=768),
    ],
)
