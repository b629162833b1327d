_base_ = './upernet_sepvit_t_ade20k.py'
model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
# The paper's settings for UperNet on ADE20K: 0.01 for Tiny and Small, 0.03 for Base.
optim_wrapper = dict(optimizer=dict(weight_decay=0.03))
