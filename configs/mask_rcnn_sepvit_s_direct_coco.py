_base_ = './mask_rcnn_sepvit_t_direct_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
