"""The fixed dozen: one algorithm of each style, from the configs that the packages ship."""

from __future__ import annotations

DOZEN = {
    'two-stage': 'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'one-stage': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco',
    'query-based': 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco',
    'panoptic': 'mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco',
    'instance': 'mmdet::solov2/solov2_r50_fpn_1x_coco',
    'tracking': 'mmdet::qdtrack/qdtrack_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval',
    'semi-supervised': 'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco',
    'FPN': 'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024',
    'UperNet': 'mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024',
    'Mask2Former': 'mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024',
    'DeepLabV3+': 'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024',
    'SegFormer': 'mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024',
    'PointRend': 'mmseg::point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024',
    'classifier': 'mmpretrain::vision_transformer/vit-base-p16_32xb128-mae_in1k',
}
