# The paper has no Lite on ADE20K: all of the recipe, drop path too, is that of Tiny.
_base_ = './upernet_sepvit_t_ade20k.py'
model = dict(
    backbone=dict(
        arch='lite',
        init_cfg=dict(type='Pretrained', checkpoint='mmsepvit://sepvit_lite_distilled', prefix='backbone.'),
    ),
    decode_head=dict(in_channels=[32, 64, 128, 256]),
    auxiliary_head=dict(in_channels=128),
)
