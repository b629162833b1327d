# The paper names no recipe for Lite: all of it, drop path too, is that of Tiny.
_base_ = './sepvit_t_imagenet.py'
model = dict(
    backbone=dict(arch='lite'),
    head=dict(in_channels=256),
)
