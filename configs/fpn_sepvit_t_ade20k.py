_base_ = [
    '_base_/models/fpn_sepvit.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/fpn_80k.py',
    '_base_/segmentation_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=8000))
