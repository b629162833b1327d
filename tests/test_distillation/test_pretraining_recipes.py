"""Configs that make weights, or start from the package's own, after inheritance, field by field."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'
CHANNELS = {'lite': [32, 64, 128, 256], 'tiny': [96, 192, 384, 768], 'small': [96, 192, 384, 768]}
CHANNELS['base'] = [128, 256, 512, 1024]
ARCHS = {'lite': 'lite', 't': 'tiny', 's': 'small', 'b': 'base'}
DETECTORS = {'t': 0.2, 's': 0.3, 'b': 0.5}  # with the paper's drop path
NO_DECAY = {'norm': {'decay_mult': 0.0}, 'cpe': {'decay_mult': 0.0}}


@cache
def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize('letter', DETECTORS)
def test_direct_pretraining(letter: str) -> None:
    """After the published configs of arXiv 2106.03112 for Swin-T."""
    config = load(f'mask_rcnn_sepvit_{letter}_direct_coco')
    arch = ARCHS[letter]
    assert plain(config.model.backbone) == {
        'type': 'mmsepvit.SepViT',
        'arch': arch,
        'window_token': 'zero',
        'drop_path_rate': DETECTORS[letter],
    }
    assert config.model.neck.in_channels == CHANNELS[arch]
    loader = config.train_dataloader
    assert loader.batch_size == 8
    assert plain(config.auto_scale_lr) == {'enable': False, 'base_batch_size': 64}
    assert loader.batch_sampler is None
    repeated = loader.dataset
    assert (repeated.type, repeated.times) == ('RepeatDataset', 4)
    assert repeated.dataset.ann_file == 'annotations/instances_train2017.json'
    assert plain(repeated.dataset.pipeline) == [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'RandomResize', 'scale': [448, 448], 'ratio_range': [0.8, 1.2], 'keep_ratio': True},
        {'type': 'RandomCrop', 'crop_size': [448, 448]},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'Pad', 'size': [448, 448]},
        {'type': 'PackDetInputs'},
    ]
    wrapper = config.optim_wrapper
    assert (wrapper.type, wrapper.optimizer.lr, wrapper.optimizer.weight_decay) == ('AmpOptimWrapper', 4e-4, 0.05)
    assert plain(wrapper.paramwise_cfg) == {'custom_keys': NO_DECAY}
    assert plain(config.param_scheduler) == [
        {'type': 'LinearLR', 'start_factor': 0.01, 'by_epoch': False, 'begin': 0, 'end': 500}
    ]
    assert config.train_cfg.max_epochs == 12
    assert config.load_from is None
    assert plain(config.val_dataloader) == plain(load('mask_rcnn_sepvit_t_1x_coco').val_dataloader)


@pytest.mark.parametrize('letter', DETECTORS)
def test_training_that_follows(letter: str) -> None:
    config, first = load(f'mask_rcnn_sepvit_{letter}_1x_direct_coco'), load(f'mask_rcnn_sepvit_{letter}_direct_coco')
    assert plain(config.model) == plain(first.model)
    assert config.load_from == f'work_dirs/mask_rcnn_sepvit_{letter}_direct_coco/epoch_12.pth'
    wrapper = config.optim_wrapper
    assert (wrapper.optimizer.lr, wrapper.optimizer.weight_decay) == (1e-4, 0.05)
    assert plain(wrapper.paramwise_cfg) == {'custom_keys': NO_DECAY}
    usual = load('mask_rcnn_sepvit_t_1x_coco')
    for key in ('train_dataloader', 'val_dataloader', 'param_scheduler', 'train_cfg', 'auto_scale_lr'):
        assert plain(config[key]) == plain(usual[key]), key


@pytest.mark.parametrize('teacher', ['dinov2', 'swin'])
@pytest.mark.parametrize('letter', ARCHS)
def test_distillation(letter: str, teacher: str) -> None:
    config = load(f'distill_sepvit_{letter}_{teacher}_imagenet')
    model, arch = config.model, ARCHS[letter]
    assert model.type == 'mmsepvit.FeatureDistillation'
    drop_path = {'lite': 0.0, 'tiny': 0.1, 'small': 0.1, 'base': 0.2}[arch]
    # the dense model, with all its outputs
    assert plain(model.backbone) == {
        'type': 'mmsepvit.SepViT',
        'arch': arch,
        'window_token': 'zero',
        'drop_path_rate': drop_path,
    }
    size = {'lite': 'tiny', 'tiny': 'tiny', 'small': 'small', 'base': 'base'}[arch]
    if teacher == 'swin':
        assert (model.teachers.type, model.teachers.arch) == ('SwinTransformer', size)
        assert [pair.channels for pair in model.pairs] == CHANNELS[size]  # Swin's widths are SepViT's
        assert [(pair.student, pair.teacher) for pair in model.pairs] == [(0, 0), (1, 1), (2, 2), (3, 3)]
        assert f'swin_{size}_' in model.teachers.init_cfg.checkpoint
    else:
        small = size == 'tiny'
        assert (model.teachers.type, model.teachers.arch) == ('VisionTransformer', 'dinov2-small' if small else 'base')
        assert [(pair.student, pair.teacher, pair.channels) for pair in model.pairs] == [
            (2, 0, 384 if small else 768),
            (3, 0, 384 if small else 768),
        ]
        assert f'vit-{"small" if small else "base"}-p14_dinov2' in model.teachers.init_cfg.checkpoint
    assert model.teachers.init_cfg.prefix == 'backbone.'
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-3, 0.05)
    assert config.train_cfg.max_epochs == 100
    assert config.param_scheduler[-1].end == 100
    assert config.train_dataloader.batch_size * 8 == config.auto_scale_lr.base_batch_size == 1024
    dataset = config.train_dataloader.dataset
    assert (dataset.type, dataset.with_label) == ('CustomDataset', False)
    assert 'val_dataloader' not in config


@pytest.mark.parametrize('name', ['upernet_sepvit_lite_ade20k', 'mask_rcnn_sepvit_lite_1x_coco'])
def test_lite_is_tiny_but_for_its_size_and_start(name: str) -> None:
    config, tiny = plain(dict(load(name))), plain(dict(load(name.replace('lite', 't'))))
    start = config['model']['backbone'].pop('init_cfg')
    assert start == {
        'type': 'Pretrained',
        'checkpoint': 'mmsepvit://sepvit_lite_distilled',
        'prefix': 'backbone.',
    }
    model = config['model']
    assert model['backbone'].pop('arch') == 'lite'
    assert tiny['model']['backbone'].pop('arch') == 'tiny'
    part = 'decode_head' if 'upernet' in name else 'neck'
    assert model[part].pop('in_channels') == CHANNELS['lite']
    assert tiny['model'][part].pop('in_channels') == CHANNELS['tiny']
    if 'upernet' in name:
        assert model['auxiliary_head'].pop('in_channels') == CHANNELS['lite'][2]
        assert tiny['model']['auxiliary_head'].pop('in_channels') == CHANNELS['tiny'][2]
    assert config == tiny
