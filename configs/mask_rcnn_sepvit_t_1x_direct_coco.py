# The second stage of direct pretraining, at full size; see mask_rcnn_sepvit_t_direct_coco.py.
_base_ = [
    '_base_/models/mask_rcnn_sepvit_fpn.py',
    '_base_/datasets/coco_instance.py',
    '_base_/schedules/coco_1x.py',
    '_base_/detection_runtime.py',
]
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={'norm': dict(decay_mult=0.0), 'cpe': dict(decay_mult=0.0)}),
)
load_from = 'work_dirs/mask_rcnn_sepvit_t_direct_coco/epoch_12.pth'
