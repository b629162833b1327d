_base_ = './mask_rcnn_sepvit_t_1x_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
# The paper's settings for COCO, 1x: 1e-3 for Tiny, 1e-4 for Small.
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
