"""What the published recipes say of every config, written from them and not from the configs."""

from __future__ import annotations

from typing import NamedTuple

NORMS_AND_CPE = {'norm': {'decay_mult': 0.0}, 'cpe': {'decay_mult': 0.0}}
TINY, BASE, LITE = [96, 192, 384, 768], [128, 256, 512, 1024], [32, 64, 128, 256]


class Row(NamedTuple):
    """What differs between configs; what a family shares stands in its own test."""

    arch: str
    channels: list[int]
    drop_path: float
    lr: float
    weight_decay: float
    custom_keys: dict | None = None
    warmup_epochs: int | None = None
    fp16: bool = False


TABLE: dict[str, Row] = {
    # ADE20K, UPerNet, 160k: no decay on norms and CPE.
    'upernet_sepvit_t_ade20k': Row('tiny', TINY, 0.2, 6e-5, 0.01, NORMS_AND_CPE),
    'upernet_sepvit_s_ade20k': Row('small', TINY, 0.3, 6e-5, 0.01, NORMS_AND_CPE),
    'upernet_sepvit_b_ade20k': Row('base', BASE, 0.5, 6e-5, 0.03, NORMS_AND_CPE),
    # ADE20K, Semantic FPN, 80k.
    'fpn_sepvit_t_ade20k': Row('tiny', TINY, 0.2, 1e-4, 1e-4),
    'fpn_sepvit_s_ade20k': Row('small', TINY, 0.3, 1e-4, 1e-4),
    'fpn_sepvit_b_ade20k': Row('base', BASE, 0.5, 1e-4, 1e-4),
    # COCO 1x: the two heads have different rates. Base follows Small.
    'mask_rcnn_sepvit_t_1x_coco': Row('tiny', TINY, 0.2, 2e-4, 1e-3),
    'mask_rcnn_sepvit_s_1x_coco': Row('small', TINY, 0.3, 2e-4, 1e-4),
    'mask_rcnn_sepvit_b_1x_coco': Row('base', BASE, 0.5, 2e-4, 1e-4),
    'retinanet_sepvit_t_1x_coco': Row('tiny', TINY, 0.2, 1e-4, 1e-3),
    'retinanet_sepvit_s_1x_coco': Row('small', TINY, 0.3, 1e-4, 1e-4),
    'retinanet_sepvit_b_1x_coco': Row('base', BASE, 0.5, 1e-4, 1e-4),
    # COCO 3x: one rate, no decay on norms and CPE, Mask R-CNN in fp16. Base follows Small.
    'mask_rcnn_sepvit_t_3x_coco': Row('tiny', TINY, 0.2, 1e-4, 0.05, NORMS_AND_CPE, fp16=True),
    'mask_rcnn_sepvit_s_3x_coco': Row('small', TINY, 0.3, 1e-4, 0.1, NORMS_AND_CPE, fp16=True),
    'mask_rcnn_sepvit_b_3x_coco': Row('base', BASE, 0.5, 1e-4, 0.1, NORMS_AND_CPE, fp16=True),
    'retinanet_sepvit_t_3x_coco': Row('tiny', TINY, 0.2, 1e-4, 0.05, NORMS_AND_CPE),
    'retinanet_sepvit_s_3x_coco': Row('small', TINY, 0.3, 1e-4, 0.1, NORMS_AND_CPE),
    'retinanet_sepvit_b_3x_coco': Row('base', BASE, 0.5, 1e-4, 0.1, NORMS_AND_CPE),
    # ImageNet: Base has twice the decay and four times the warmup. Lite follows Tiny.
    'sepvit_lite_imagenet': Row('lite', LITE, 0.2, 1e-3, 0.05, warmup_epochs=5),
    'sepvit_t_imagenet': Row('tiny', TINY, 0.2, 1e-3, 0.05, warmup_epochs=5),
    'sepvit_s_imagenet': Row('small', TINY, 0.3, 1e-3, 0.05, warmup_epochs=5),
    'sepvit_b_imagenet': Row('base', BASE, 0.5, 1e-3, 0.1, warmup_epochs=20),
}


LETTERS = ('t', 's', 'b')
ELSEWHERE = {
    'upernet_sepvit_lite_ade20k',
    'mask_rcnn_sepvit_lite_1x_coco',
    *(f'mask_rcnn_sepvit_{letter}_{part}direct_coco' for letter in LETTERS for part in ('', '1x_')),
    *(f'distill_sepvit_{arch}_{teacher}_imagenet' for arch in ('lite', *LETTERS) for teacher in ('dinov2', 'swin')),
}
"""Those that no paper has: tests/test_distillation reads them."""


def named(*parts: str) -> list[str]:
    """Names in the table that contain every part."""
    found = [name for name in TABLE if all(part in name for part in parts)]
    assert found
    return found


DENSE = named('ade20k') + named('coco')
