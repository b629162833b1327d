# SepViT-T, the dense model, learns all four maps of a Swin; the leaves change arch and teacher.
model = dict(
    type='mmsepvit.FeatureDistillation',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='mmsepvit.SepViT', arch='tiny', window_token='zero', drop_path_rate=0.1),
    # MIT. `mim download mmpretrain --config swin-tiny_16xb64_in1k --dest checkpoints` fetches it.
    teachers=dict(
        type='SwinTransformer',
        arch='tiny',
        img_size=224,
        pad_small_map=True,  # pictures below 224, such as those of --mini
        # A classifier has a norm after its last stage alone; those of the others stay as they begin, which is
        # what `standardize` does anyway.
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth',
            prefix='backbone.',
        ),
    ),
    pairs=[
        dict(student=0, teacher=0, channels=96),
        dict(student=1, teacher=1, channels=192),
        dict(student=2, teacher=2, channels=384),
        dict(student=3, teacher=3, channels=768),
    ],
)
