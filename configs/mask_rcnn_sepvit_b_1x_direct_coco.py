_base_ = './mask_rcnn_sepvit_t_1x_direct_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
load_from = 'work_dirs/mask_rcnn_sepvit_b_direct_coco/epoch_12.pth'
