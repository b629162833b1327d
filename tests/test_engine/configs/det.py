# The published Mask R-CNN recipe on a small network.
_base_ = '../../../configs/mask_rcnn_sepvit_t_1x_coco.py'
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            depths=(1, 1, 1, 1),
            channels=(8, 16, 16, 16),
            num_heads=(1, 1, 1, 1),
            window_sizes=((7,), (7,), (7,), (7,)),
        ),
    ),
    neck=dict(in_channels=[8, 16, 16, 16], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8),
        bbox_head=dict(in_channels=8, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=8),
        mask_head=dict(in_channels=8, conv_out_channels=8),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=100, max_per_img=50)),
    # Untrained scores are small, and mmdet measures nothing where nothing is found.
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=10)),
)
randomness = dict(seed=0)  # tests compare runs
