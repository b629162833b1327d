_base_ = './sepvit_t_imagenet.py'
model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
