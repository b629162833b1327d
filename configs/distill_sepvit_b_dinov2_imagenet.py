_base_ = './distill_sepvit_s_dinov2_imagenet.py'
model = dict(backbone=dict(arch='base', drop_path_rate=0.2))
