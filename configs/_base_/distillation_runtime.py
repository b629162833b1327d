_base_ = './default_runtime.py'

# Its datasets and transforms; nothing is predicted, so there is nothing to validate.
default_scope = 'mmpretrain'
default_hooks = dict(logger=dict(interval=100))
log_processor = dict(type='LogProcessor', window_size=100, by_epoch=True)
visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[dict(type='LocalVisBackend')],
    name='visualizer',
)
