_base_ = [
    '_base_/models/distill_sepvit_swin.py',
    '_base_/datasets/imagenet_unlabelled.py',
    '_base_/schedules/distill_100e.py',
    '_base_/distillation_runtime.py',
]
