_base_ = './distill_sepvit_t_swin_imagenet.py'
# So small a student fits nothing too closely.
model = dict(backbone=dict(arch='lite', drop_path_rate=0.0))
