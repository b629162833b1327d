_base_ = [
    '_base_/models/mask_rcnn_sepvit_fpn.py',
    '_base_/datasets/coco_instance_multiscale.py',
    '_base_/schedules/coco_3x.py',
    '_base_/detection_runtime.py',
]
# The paper's only fp16 recipe; its implementation keeps the loss scale at 512.
optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')
