_base_ = [
    '_base_/models/upernet_sepvit.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/upernet_160k.py',
    '_base_/segmentation_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=16000))
