_base_ = './distill_sepvit_t_swin_imagenet.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.2),
    teachers=dict(
        arch='base',
        init_cfg=dict(checkpoint='checkpoints/swin_base_224_b16x64_300e_imagenet_20210616_190742-93230b0d.pth'),
    ),
    pairs=[
        dict(student=0, teacher=0, channels=128),
        dict(student=1, teacher=1, channels=256),
        dict(student=2, teacher=2, channels=512),
        dict(student=3, teacher=3, channels=1024),
    ],
)
