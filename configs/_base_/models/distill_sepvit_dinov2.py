# SepViT-T, the dense model, learns the patch features of DINOv2; the leaves change arch and teacher.
model = dict(
    type='mmsepvit.FeatureDistillation',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='mmsepvit.SepViT', arch='tiny', window_token='zero', drop_path_rate=0.1),
    # Apache-2.0. `mim download mmpretrain --config vit-small-p14_dinov2-pre_3rdparty --dest checkpoints` fetches it.
    teachers=dict(
        type='VisionTransformer',
        arch='dinov2-small',
        img_size=518,
        patch_size=14,
        layer_scale_init_value=1e-5,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
            prefix='backbone.',
        ),
    ),
    # At 224 its map has 16x16 positions, stage 3 has 14x14 and stage 4 has 7x7.
    pairs=[
        dict(student=2, teacher=0, channels=384),
        dict(student=3, teacher=0, channels=384),
    ],
)
