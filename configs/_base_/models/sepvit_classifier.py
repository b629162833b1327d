# SepViT-T as a classifier; the leaves change arch, drop path and the head's channels.
# On top, as in mmpretrain: its clients and mmdeploy read it there, and the runner hands it to the model.
data_preprocessor = dict(
    num_classes=1000,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsepvit.SepViT',
        arch='tiny',
        input_size=224,
        out_indices=(3,),
        window_token='learnable',
        single_window_psa=False,
        drop_path_rate=0.2,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        # Labels are mixed in training, so a training accuracy would mean nothing.
        cal_acc=False,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
    ),
    # Always one of the two, each as often as the other: what mmpretrain does without `probs`.
    train_cfg=dict(
        augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)],
    ),
)
