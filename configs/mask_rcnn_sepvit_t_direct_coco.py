# Direct pretraining (arXiv 2106.03112): a detector from nothing, at 448x448; *_1x_direct_coco.py goes on from it.
# Theirs, on Swin-T: 45.0 box and 40.5 mask AP, where a start from ImageNet gave 43.8 and 39.6. Part of that may be
# their larger box head (Shared4Conv1FC), which the ImageNet row does not seem to have; here both stages have mmdet's.
_base_ = [
    '_base_/models/mask_rcnn_sepvit_fpn.py',
    '_base_/datasets/coco_instance_direct.py',
    '_base_/schedules/coco_direct.py',
    '_base_/detection_runtime.py',
]
