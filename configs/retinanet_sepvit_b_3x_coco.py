# The paper has no Base on COCO: the rates and decay are those of Small, the drop path is Base's.
_base_ = './retinanet_sepvit_t_3x_coco.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
