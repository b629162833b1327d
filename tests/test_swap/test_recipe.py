"""The training recipe that a swap brings along, value by value against the paper's table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmsepvit.configs.swap import SwapError, load, swap, swap_backbone

# config, arch -> rate, decay, warm-up (end, by epoch), clip, stochastic depth
PUBLISHED = {
    ('mmdet::retinanet/retinanet_r50_fpn_1x_coco', 'tiny'): (1e-4, 1e-3, (500, False), None, 0.2),
    ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco', 'small'): (2e-4, 1e-4, (500, False), None, 0.3),
    ('mmdet::mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco', 'tiny'): (1e-4, 0.05, (500, False), None, 0.2),
    # 4 processes of 2 images, where the paper has 16 in all
    ('mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024', 'base'): (3e-5, 0.03, (1500, False), None, 0.5),
    ('mmseg::sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512', 'tiny'): (1e-4, 1e-4, None, None, 0.2),
    # 256 images where the paper has 1024
    ('mmpretrain::resnet/resnet50_8xb32_in1k', 'tiny'): (2.5e-4, 0.05, (5, True), {'max_norm': 1.0}, 0.2),
    ('mmpretrain::resnet/resnet18_8xb16_cifar10', 'base'): (1.25e-4, 0.1, (20, True), {'max_norm': 1.0}, 0.5),
}


@pytest.mark.parametrize(('source', 'arch'), PUBLISHED)
def test_nearest_published_recipe(source: str, arch: str) -> None:
    rate, decay, warmup, clip, drop_path = PUBLISHED[source, arch]
    old, new = load(source), swap_backbone(source, arch)
    optimizer = new.optim_wrapper.optimizer
    assert optimizer.type == 'AdamW'
    assert (optimizer.lr, optimizer.weight_decay) == (rate, decay)
    assert new.optim_wrapper.get('clip_grad') == clip
    assert new.model.backbone.drop_path_rate == drop_path
    linear = [s for s in new.param_scheduler if s.type == 'LinearLR']
    assert [(s.end, s.get('by_epoch', True)) for s in linear] == ([warmup] if warmup else [])
    assert new.train_cfg == old.train_cfg


def test_a_classifier_follows_a_cosine_of_the_old_length() -> None:
    new = swap_backbone('mmpretrain::resnet/resnet50_8xb32_in1k')
    assert new.param_scheduler[1].to_dict() == {
        'type': 'CosineAnnealingLR',
        'eta_min': 2.5e-6,
        'by_epoch': True,
        'begin': 5,
        'end': 100,
    }


def test_the_floor_of_a_schedule_follows_the_rate() -> None:
    """Of SGD's 0.01 a floor of 1e-4 is a hundredth; over AdamW's 3e-5 it would raise the rate."""
    _, poly = swap_backbone('mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024').param_scheduler
    assert poly.eta_min == pytest.approx(3e-7)
    assert (poly.begin, poly.end) == (1500, 40000)


def test_a_warm_up_stays_where_the_published_recipe_has_none() -> None:
    source = 'mmseg::point_rend/pointrend_r50_4xb4-160k_ade20k-512x512'
    old, new = load(source), swap_backbone(source)
    assert new.optim_wrapper.optimizer.type == 'AdamW'
    assert new.param_scheduler[0] == old.param_scheduler[0]
    assert (new.param_scheduler[1].begin, new.param_scheduler[1].end) == (200, 160000)


@pytest.mark.parametrize('recipe', [None, 'keep'])
def test_a_transformers_recipe_stays(recipe: str | None) -> None:
    source = 'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco'
    old, new = load(source), swap_backbone(source, recipe=recipe)
    assert new.optim_wrapper == old.optim_wrapper
    assert new.param_scheduler == old.param_scheduler
    assert new.model.backbone.drop_path_rate == old.model.backbone.drop_path_rate


def test_keep_keeps() -> None:
    source = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco'
    old, new = load(source), swap_backbone(source, recipe='keep')
    assert new.optim_wrapper == old.optim_wrapper
    assert 'drop_path_rate' not in new.model.backbone


def test_a_head_on_a_frozen_backbone_keeps_its_recipe() -> None:
    source = 'mmpretrain::barlowtwins/benchmarks/resnet50_8xb32-linear-coslr-100e_in1k'
    assert swap_backbone(source).optim_wrapper == load(source).optim_wrapper


def test_decay_spares_norms_biases_position_encoding_and_tokens() -> None:
    new = swap_backbone('mmpretrain::resnet/resnet18_8xb16_cifar10', 'lite')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(new.model)
        optimizer = build_optim_wrapper(model, new.optim_wrapper).optimizer
    decay = {id(p): group['weight_decay'] for group in optimizer.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        spared = parameter.ndim == 1 or 'cpe' in name or 'window_token' in name
        assert decay[id(parameter)] == (0 if spared else 0.05), name


@pytest.mark.parametrize(('source', 'arch'), PUBLISHED)
def test_each_change_of_the_training_has_its_reason(source: str, arch: str) -> None:
    report = swap(source, arch)
    changed = [path.split('.') for path, _, _ in report.changes if not path.startswith(('model', 'data_'))]
    keys = {path[1] if path[0] == 'optim_wrapper' else path[0] for path in changed} | {'drop_path_rate'}
    assert {'optimizer', 'paramwise_cfg'} <= keys
    for key in keys:
        assert any(re.match(f'recipe: {key}[:=]', note) for note in report.notes), key


def test_the_reasons() -> None:
    notes = '\n'.join(swap('mmpretrain::resnet/resnet50_8xb32_in1k').notes)
    for words in ('scaled from batch 1024 to 256', 'warm-up of 5 epochs', 'a cosine of the same length', 'max_norm'):
        assert words in notes
    assert 'length stays: 100 epochs' in notes
    notes = '\n'.join(swap('mmseg::upernet/upernet_r50_4xb2-40k_cityscapes-512x1024').notes)
    for words in ('auto_scale_lr: names batch 8', 'warm-up of 1500 iterations', 'eta_min=3e-07', 'begin=1500'):
        assert words in notes


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'recipe': 'swin'}, 'keep, sepvit'),
        ({'recipe': 'sepvit', 'backbone': {'type': 'ResNet', 'depth': 18}}, 'ResNet'),
    ],
)
def test_wrong_recipes_say_so(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SwapError, match=message):
        swap_backbone('mmdet::retinanet/retinanet_r50_fpn_1x_coco', **change)


def test_sgd_by_class_and_batch_by_auto_scale_lr() -> None:
    from torch.optim import SGD

    config = load('mmdet::retinanet/retinanet_r50_fpn_1x_coco')
    config.merge_from_dict({'optim_wrapper.optimizer.type': SGD, 'auto_scale_lr.base_batch_size': 4})
    new = swap_backbone(Config(config.to_dict()))
    assert new.optim_wrapper.optimizer.lr == 2.5e-5


def test_layer_wise_decay_goes_on() -> None:
    """The rate falls by the old factor from block to block, under the constructor that asks SepViT."""
    new = swap_backbone('mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640', 'lite')
    assert new.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.9
    model = new.model
    model.data_preprocessor.size = None
    for head in (model.decode_head, model.auxiliary_head):
        head.norm_cfg.type = 'BN'
    with DefaultScope.overwrite_default_scope('mmseg'):
        built = MODELS.build(model)
        optimizer = build_optim_wrapper(built, new.optim_wrapper).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    blocks = [
        min(rates[id(p)] for p in block.parameters()) for stage in built.backbone.stages for block in stage.blocks
    ]
    assert all(b / a == pytest.approx(1 / 0.9) for a, b in zip(blocks, blocks[1:]))
    assert min(rates[id(p)] for p in built.decode_head.parameters()) == new.optim_wrapper.optimizer.lr
