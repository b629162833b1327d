_base_ = [
    '_base_/models/mask_rcnn_sepvit_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_1x.py',
    '_base_/detection_runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=2e-4))
