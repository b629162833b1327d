_base_ = './default_runtime.py'

default_scope = 'mmseg'
default_hooks = dict(
    # ADE20K is trained by iterations, so nothing here may count epochs.
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, save_best='mIoU', rule='greater'),
    visualization=dict(type='SegVisualizationHook'),
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend')],
    name='visualizer',
)
tta_model = dict(type='SegTTAModel')
