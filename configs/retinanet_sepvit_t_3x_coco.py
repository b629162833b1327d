_base_ = [
    '_base_/models/retinanet_sepvit_fpn.py',
    '_base_/datasets/coco_detection_multiscale.py',
    '_base_/schedules/coco_3x.py',
    '_base_/detection_runtime.py',
]
