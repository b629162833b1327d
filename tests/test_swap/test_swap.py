"""What a swap rewrites, value by value, in configs whose answer is known by hand."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from mmsepvit.configs.swap import SwapError, load, swap, swap_backbone
from mmsepvit.models import SepViT

TINY = [96, 192, 384, 768]
RESNET50 = {256, 512, 1024, 2048}
CASES = {
    # config: keys below `model` and their new values
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco': {
        'backbone.out_indices': (0, 1, 2, 3),
        'neck.in_channels': TINY,
        'neck.out_channels': 256,
    },
    'mmdet::detr/detr_r50_8xb2-150e_coco': {'backbone.out_indices': (3,), 'neck.in_channels': [768]},
    'mmdet::yolo/yolov3_d53_8xb8-320-273e_coco': {  # deep to shallow
        'backbone.out_indices': (1, 2, 3),
        'neck.in_channels': [768, 384, 192],
        'data_preprocessor.mean': [123.675, 116.28, 103.53],
        'data_preprocessor.std': [58.395, 57.12, 57.375],
    },
    'mmdet::ssd/ssd300_coco': {  # the neck hands its inputs on
        'backbone.out_indices': (1, 2),
        'neck.in_channels': (192, 384),
        'neck.out_channels': (192, 384, 512, 256, 256, 256),
        'bbox_head.in_channels': (192, 384, 512, 256, 256, 256),
    },
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco': {  # no neck: RPN and RoI heads; anchors stay at stride 16
        'backbone.out_indices': (2,),
        'rpn_head.in_channels': 384,
        'roi_head.bbox_roi_extractor.out_channels': 384,
        'roi_head.bbox_head.in_channels': 384,
        'data_preprocessor.bgr_to_rgb': True,
    },
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco': {  # a RoI stage of fixed width
        'backbone.out_indices': (2,),
        'neck.type': 'mmdet.ChannelMapper',
        'neck.in_channels': [384],
        'neck.out_channels': 1024,
        'rpn_head.in_channels': 1024,
    },
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic': {'panoptic_head.in_channels': TINY},
    'mmdet::bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval': {
        'detector.backbone.out_indices': (1, 2, 3),
        'detector.neck.in_channels': [192, 384, 768],
        'data_preprocessor.bgr_to_rgb': True,
    },
    'mmdet::deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval': {  # two backbones
        'detector.neck.in_channels': TINY,
        'reid.backbone.input_size': (256, 128),
        'reid.head.in_channels': 768,
    },
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024': {
        'pretrained': None,
        'decode_head.in_channels': 768,
        'decode_head.c1_in_channels': 96,
        'decode_head.c1_channels': 48,
        'auxiliary_head.in_channels': 384,
    },
    'mmseg::fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024': {  # a neck that hands on some of its inputs
        'neck.in_channels': (192, 384, 768),
        'decode_head.in_channels': 2048,
        'auxiliary_head.in_channels': 384,
    },
    'mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640': {  # a pyramid made of one stride
        'decode_head.in_channels': TINY,
        'auxiliary_head.in_channels': 384,
    },
    'mmseg::segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512': {'decode_head.in_channels': TINY[1:]},
    'mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024': {  # a backbone around the backbone
        'backbone.type': 'STDCContextPathNet',
        'backbone.backbone_cfg.out_indices': (1, 2, 3),
        'backbone.last_in_channels': (768, 384),
        'backbone.ffm_cfg.in_channels': 128 + 192,
        'auxiliary_head.2.in_channels': 192,
    },
    'mmseg::icnet/icnet_r50-d8_4xb2-80k_cityscapes-832x832': {  # the whole of it, not the ResNet inside
        'backbone.type': 'mmsepvit.SepViT',
        'backbone.out_indices': (1, 2, 3),
        'neck.in_channels': (192, 384, 768),
        'decode_head.in_channels': 128,
    },
    'mmpretrain::resnet/resnet50_8xb32_in1k': {
        'backbone.window_token': 'learnable',
        'backbone.single_window_psa': False,
        'backbone.input_size': 224,
        'backbone.out_indices': (3,),
        'head.in_channels': 768,
    },
    'mmpretrain::swin_transformer/swin-base_16xb64_in1k-384px': {'backbone.input_size': 384, 'head.in_channels': 768},
    'mmpretrain::vision_transformer/vit-base-p16_32xb128-mae_in1k': {  # it pooled by itself
        'neck.type': 'GlobalAveragePooling',
        'head.in_channels': 768,
    },
    'mmpretrain::vgg/vgg11_8xb32_in1k': {  # it held the classifier
        'neck.type': 'GlobalAveragePooling',
        'head.type': 'LinearClsHead',
        'head.num_classes': 1000,
        'head.in_channels': 768,
    },
    'mmdet::rpn/rpn_r50-caffe-c4_1x_coco': {'neck': None, 'rpn_head.in_channels': 384},
    'mmseg::ocrnet/ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024': {  # both heads read one level
        'decode_head.0.in_index': 3,
        'decode_head.0.in_channels': 768,
        'decode_head.1.in_channels': 768,
    },
    'mmpretrain::vgg/vgg16_8xb16_voc': {  # several labels a picture
        'head.type': 'MultiLabelLinearClsHead',
        'head.num_classes': 20,
        'head.in_channels': 768,
    },
    'mmpretrain::arcface/resnet50-arcface_8xb32_inshop': {'image_encoder.0.input_size': 448, 'head.in_channels': 768},
    'mmpretrain::mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k': {'neck.in_channels': 768},
}


def value_at(model: Any, path: str) -> Any:
    for part in path.split('.'):
        model = model[int(part)] if part.isdigit() else model[part]
    return model


@pytest.mark.parametrize('source', CASES)
def test_known_answers(source: str) -> None:
    model = swap_backbone(source).model
    assert {path: value_at(model, path) for path in CASES[source]} == CASES[source]


WIDTHS = [
    'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'mmdet::htc/htc_r50_fpn_1x_coco',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco',
    'mmdet::yolof/yolof_r50-c5_8xb8-1x_coco',
    'mmseg::ocrnet/ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024',
    'mmseg::knet/knet-s3_r50-d8_upernet_8xb2-adamw-80k_ade20k-512x512',
    'mmseg::encnet/encnet_r50-d8_4xb2-40k_cityscapes-512x1024',
    'mmseg::apcnet/apcnet_r50-d8_4xb2-40k_cityscapes-512x1024',
]


def readers(model: dict) -> list[dict]:
    """What reads the backbone itself: the neck where there is one, else all heads with all that is in them."""
    if model.get('neck'):
        return [model['neck']]
    found: list[dict] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                walk(value)

    walk({k: v for k, v in model.items() if k.endswith('head')})
    return [node for node in found if 'in_index' in node or node.get('in_channels') in [[*sorted(RESNET50)]]]


@pytest.mark.parametrize('arch', ['lite', 'base'])
@pytest.mark.parametrize('source', WIDTHS)
def test_no_reader_keeps_an_old_width(source: str, arch: str) -> None:
    old, new = load(source), swap_backbone(source, arch)
    gone = RESNET50 - set(SepViT.arch_zoo[arch]['channels'])
    before, after = readers(old.model), readers(new.model)
    assert before
    assert len(before) == len(after)
    for node in after:
        value = node['in_channels']
        assert not gone & set(value if isinstance(value, (list, tuple)) else [value]), node


def test_dilated_backbone_says_that_strides_change() -> None:
    report = swap('mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024')
    assert any('[4, 8, 16, 32]' in note and '[4, 8, 8, 8]' in note for note in report.notes)


def test_what_goes_with_an_old_backbone_is_said() -> None:
    report = swap('mmseg::icnet/icnet_r18-d8_4xb2-80k_cityscapes-832x832')
    assert any('three scales of the image' in note for note in report.notes)


def test_only_what_differs_is_changed() -> None:
    report = swap('mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024', recipe='keep')
    assert {path for path, _, _ in report.changes} == {
        'model.pretrained',
        'model.backbone',
        'model.decode_head.in_channels',
        'model.auxiliary_head.in_channels',
    }


def test_head_without_convolutions_is_as_wide_as_what_it_reads() -> None:
    config = swap_backbone('mmseg::segmenter/segmenter_vit-s_fcn_8xb1-160k_ade20k-512x512')
    assert config.model.decode_head.in_channels == config.model.decode_head.channels == 768


def test_teachers_stay_unless_asked_for() -> None:
    source = 'mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x'
    old = load(source).model
    kept = swap_backbone(source).model
    assert kept.backbone.type == 'mmsepvit.SepViT'
    assert kept.teacher_backbone == old.teacher_backbone
    assert kept.teacher_neck == old.teacher_neck
    both = swap_backbone(source, swap_teachers=True).model
    assert both.teacher_backbone.type == 'mmsepvit.SepViT'
    assert both.teacher_neck.in_channels == TINY


def test_path_chooses_one_of_two() -> None:
    source = 'mmdet::deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval'
    old, new = load(source).model, swap_backbone(source, path='model.detector.backbone').model
    assert new.detector.backbone.type == 'mmsepvit.SepViT'
    assert new.reid == old.reid
    with pytest.raises(SwapError, match=r'model\.detector\.backbone, model\.reid\.backbone'):
        swap_backbone(source, path='model.segmentor')


def test_frozen_stages_and_checkpointing_are_kept() -> None:
    config = load('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco')
    config.model.backbone.with_cp = True
    report = swap(config, recipe='keep')
    assert report.config.model.backbone.frozen_stages == 1
    assert report.config.model.backbone.with_cp is True
    assert any('random' in note for note in report.notes)
    assert swap_backbone(config, frozen_stages=-1).model.backbone.frozen_stages == -1
    assert 'frozen_stages' not in swap_backbone(config, recipe='sepvit').model.backbone


@pytest.mark.parametrize(
    ('source', 'frozen'),
    [
        ('mmpretrain::barlowtwins/benchmarks/resnet50_8xb32-linear-coslr-100e_in1k', 4),
        ('mmpretrain::mocov3/benchmarks/vit-base-p16_8xb128-linear-coslr-90e_in1k', 4),
    ],
)
def test_a_frozen_backbone_stays_frozen(source: str, frozen: int) -> None:
    assert swap_backbone(source).model.backbone.frozen_stages == frozen


def test_mmpretrain_swin_counts_frozen_stages_from_0() -> None:
    config = load('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k')
    config.model.backbone.frozen_stages = 1
    assert swap_backbone(config).model.backbone.frozen_stages == 2


def test_old_weights_go_and_layer_decay_stays() -> None:
    config = load('mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640')
    config.load_from = 'old.pth'
    new = swap_backbone(config)
    assert new.load_from is None
    assert new.model.get('pretrained') is None
    assert new.optim_wrapper.constructor == 'mmsepvit.LayerDecayOptimWrapperConstructor'
    assert new.optim_wrapper.paramwise_cfg == {'layer_decay_rate': 0.9}
    assert config.load_from == 'old.pth'


def test_arguments_reach_the_backbone() -> None:
    new = swap_backbone('mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024', 'small', window_token='shared')
    assert new.model.backbone.arch == 'small'
    assert new.model.backbone.window_token == 'shared'
    assert new.model.backbone.drop_path_rate == 0.3
    custom = {'channels': (32, 64, 96, 128), 'depths': (1,) * 4, 'num_heads': (1, 2, 3, 4), 'window_sizes': ((7,),) * 4}
    assert swap_backbone('mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024', custom).model.neck.in_channels == [
        32,
        64,
        96,
        128,
    ]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'arch': 'huge'}, 'huge.*lite'),
        ({'window_tokens': 'zero'}, 'window_tokens'),
        ({'drop_path_rate': 1.5}, 'drop_path_rate=1.5'),
        ({'out_indices': (0, 1)}, 'out_indices'),
    ],
)
def test_wrong_arguments_say_so(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SwapError, match=message):
        swap_backbone('mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024', **arguments)


def test_a_config_of_ones_own() -> None:
    config = Config(
        {
            'default_scope': 'mmdet',
            'model': {
                'type': 'RetinaNet',
                'backbone': {'type': 'ResNet', 'depth': 18, 'out_indices': (1, 2, 3)},
                'neck': {'type': 'FPN', 'in_channels': [128, 256, 512], 'out_channels': 64, 'num_outs': 5},
                'bbox_head': {'type': 'RetinaHead', 'num_classes': 3, 'in_channels': 64},
            },
        }
    )
    model = swap_backbone(config).model
    assert model.neck.in_channels == [192, 384, 768]
    assert model.bbox_head.in_channels == 64
    with pytest.raises(SwapError, match='no model'):
        swap_backbone(Config({'default_scope': 'mmdet'}))
