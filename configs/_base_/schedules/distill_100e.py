# Ours, after those of feature distillation in public code: long enough to be worth it, not tuned.
# Batches far below 1024 want a far smaller rate: at 32 images, rates above 3e-4 learned nothing.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={'norm': dict(decay_mult=0.0), 'cpe': dict(decay_mult=0.0)}),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=100),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
