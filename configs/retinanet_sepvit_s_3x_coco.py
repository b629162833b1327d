_base_ = './retinanet_sepvit_t_3x_coco.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
# The paper's settings for COCO, 3x: 0.05 for Tiny, 0.1 for Small.
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
