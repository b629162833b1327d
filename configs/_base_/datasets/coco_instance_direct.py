# COCO at 448x448, where a training from nothing sees each picture four times an epoch; tests stay at full size.
_base_ = './coco_instance.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=(448, 448), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(448, 448)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=(448, 448)),
    dict(type='PackDetInputs'),
]
# 8 GPUs x 8 images.
train_dataloader = dict(
    batch_size=8,
    # All pictures have one shape, so that there is nothing to group by.
    batch_sampler=None,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=4,
        dataset=dict(
            type='CocoDataset',
            data_root='data/coco/',
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=train_pipeline,
        ),
    ),
)

auto_scale_lr = dict(enable=False, base_batch_size=64)
