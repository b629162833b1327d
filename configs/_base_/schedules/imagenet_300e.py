optim_wrapper = dict(
    type='OptimWrapper',
    # The paper names no exception from the decay here.
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    # The summary's norm; the published implementation has max_norm=5.
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    # From 1e-6, which is this part of the rate, in steps of an iteration.
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
