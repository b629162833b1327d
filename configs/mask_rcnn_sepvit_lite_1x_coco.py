# The paper has no Lite on COCO: all of the recipe, drop path too, is that of Tiny.
_base_ = './mask_rcnn_sepvit_t_1x_coco.py'
model = dict(
    backbone=dict(
        arch='lite',
        init_cfg=dict(type='Pretrained', checkpoint='mmsepvit://sepvit_lite_distilled', prefix='backbone.'),
    ),
    neck=dict(in_channels=[32, 64, 128, 256]),
)
