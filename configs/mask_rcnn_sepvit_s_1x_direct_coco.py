_base_ = './mask_rcnn_sepvit_t_1x_direct_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
load_from = 'work_dirs/mask_rcnn_sepvit_s_direct_coco/epoch_12.pth'
