"""A second round of values that a config cannot have: refused with key and cure before anything is built."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS, OPTIMIZERS, DefaultScope
from small_runs import small_config
from torch import nn

from mmsepvit import SepViT
from mmsepvit.checkpoints.fits import check_pretrained
from mmsepvit.cli.command import OptionsAction
from mmsepvit.configs.agreement import check_agreement
from mmsepvit.configs.constructors import explain
from mmsepvit.configs.load import apply_options, load_config
from mmsepvit.configs.preflight import check_parts, check_stack
from mmsepvit.configs.values import check_values
from mmsepvit.engine.starting import random_start
from mmsepvit.errors import UserError

TASKS = ('seg', 'det', 'cls')


@pytest.fixture(scope='module')
def configs() -> dict[str, Config]:
    found = {task: load_config(small_config(task)) for task in TASKS}
    for config in found.values():
        check_stack(config.default_scope)
    return found


@pytest.fixture
def changed(configs: dict[str, Config]) -> Callable[..., Config]:
    """A small config with ``--cfg-options``."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)

    def change(task: str, *options: str) -> Config:
        config = deepcopy(configs[task])
        apply_options(config, parser.parse_args(['--cfg-options', *options]).cfg_options)
        return config

    return change


def message(check: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        check()
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize('task', TASKS)
def test_configs_as_they_are(task: str, configs: dict[str, Config]) -> None:
    check_values(configs[task])
    assert check_agreement(configs[task]) == []


@pytest.mark.parametrize(
    'option',
    [
        'train_cfg.max_iters=1e2',
        'default_hooks=None',
        'default_hooks.checkpoint=None',
        'default_hooks.checkpoint.interval=-1',
        'default_hooks.checkpoint.save_best=[mIoU,aAcc]',
        'train_dataloader.num_workers=0',
        'randomness=None',
        'randomness.seed=None',
        'visualizer=None',
        'log_processor=None',
        'log_level=DEBUG',
        'param_scheduler=None',
        'custom_hooks=None',
        'compile.mode=max-autotune',
        'activation_checkpointing=backbone',
        'auto_scale_lr=None',
        'load_from=None',
        'val_dataloader=None',
    ],
)
def test_values_that_can_be_meant(option: str, changed: Callable[..., Config]) -> None:
    check_values(changed('seg', option))


@pytest.mark.parametrize(
    ('option', 'wanted'),
    [
        *((f'{key}={value}', 'a group of settings') for key in ('model', 'optim_wrapper') for value in ('3', 'abc')),
        *((f'{key}=3', 'a group') for key in ('train_cfg', 'val_cfg', 'visualizer', 'randomness', 'default_hooks')),
        *((f'{key}=None', 'a group of settings') for key in ('env_cfg', 'env_cfg.mp_cfg', 'train_dataloader.dataset')),
        ('train_dataloader.dataset=data', 'with a type'),
        *((f'train_dataloader.sampler={value}', 'DefaultSampler') for value in ('None', 'abc')),
        ('val_dataloader.collate_fn.type=abc', 'pseudo_collate'),
        ('model.data_preprocessor=None', 'with a type'),
        ('train_dataloader.dataset.type=None', 'the class that reads the data'),
        ('strategy=fsdp', 'a group of settings'),
        *((f'train_dataloader.batch_size={value}', 'from 1 on') for value in ('0', '-1', '1.5', 'abc', 'None', 'True')),
        *((f'val_dataloader.num_workers={value}', 'from 0 on') for value in ('-1', 'abc', 'None', '0.5')),
        *((f'train_cfg.max_iters={value}', 'from 1 on') for value in ('0', '-1', 'abc', 'None', '1.5')),
        *((f'train_cfg.val_interval={value}', 'from 1 on') for value in ('0', 'abc')),
        ('default_hooks.checkpoint.interval=abc', 'from -1 on'),
        ('default_hooks.logger.interval=0', 'from 1 on'),
        ('default_hooks.checkpoint.save_best=3', 'name of a metric'),
        ('skip_bad=abc', 'from 0 on'),
        *((f'randomness.seed={value}', 'whole number') for value in ('abc', '-1', '1.5', '4294967296')),
        *((f'param_scheduler={value}', 'list of them') for value in ('abc', '3', '[1,2]')),
        *((f'custom_hooks={value}', 'list of groups') for value in ('abc', '3', '[EMAHook]')),
        ('custom_hooks.0.type=EMAHook', 'list of groups'),
        ('log_level=LOUD', 'WARNING'),
        ('resume=weights.pth', '--resume FILE'),
        ('load_from=3', 'checkpoint'),
        *((f'compile={value}', 'True, False') for value in ('abc', '3')),
        ('activation_checkpointing=3', 'dotted paths'),
    ],
)
def test_values_that_cannot_be_meant(option: str, wanted: str, changed: Callable[..., Config]) -> None:
    told = message(lambda: check_values(changed('seg', option)))
    assert told.startswith(option.partition('=')[0].partition('.0.')[0])
    assert wanted in told


def test_several_datasets_without_a_wrapper(configs: dict[str, Config]) -> None:
    config = deepcopy(configs['seg'])
    config.train_dataloader.dataset = [config.train_dataloader.dataset] * 2
    assert 'ConcatDataset' in message(lambda: check_values(config))


def test_no_model(changed: Callable[..., Config]) -> None:
    assert 'has no model' in message(lambda: check_parts(changed('seg', 'model=None'), 'test'))


@pytest.mark.parametrize(
    ('task', 'options', 'words'),
    [
        ('seg', ['model.backbone.in_channels=4'], ['model.data_preprocessor.mean has 3 values', '4 bands']),
        ('cls', ['data_preprocessor.mean=[1,2]'], ['data_preprocessor.mean has 2 values', '3 bands']),
        ('det', ['model.backbone.in_channels=1'], ['mean has 3 values', '1 bands']),
        ('seg', ['model.backbone.arch=lite'], ['model.neck.in_channels=[8, 16, 16, 16]', '[32, 64, 128, 256]']),
        ('det', ['model.backbone.arch=tiny'], ['model.neck.in_channels', '[96, 192, 384, 768]', '--backbone']),
        ('cls', ['model.backbone.arch=lite'], ['model.head.in_channels=16', '256 channels']),
        ('cls', ['model.backbone.out_indices=[0]'], ['model.head.in_channels=16', '8 channels']),
        ('seg', ['model.neck=None'], ['model.decode_head.in_channels=[8, 8, 8, 8]', '[8, 16, 16, 16]']),
        ('seg', ['model.backbone.out_indices=[3,2,1,0]'], ['[16, 16, 16, 8]']),
        ('seg', ['optim_wrapper.optimizer.type=AdamV'], ["'AdamV' is no optimizer", 'Did you mean']),
        ('seg', ['optim_wrapper.optimizer=None'], ['optim_wrapper.optimizer=None', 'with a type']),
    ],
)
def test_places_that_contradict_each_other(
    task: str, options: list[str], words: list[str], changed: Callable[..., Config]
) -> None:
    told = message(lambda: check_agreement(changed(task, *options)))
    assert all(word in told for word in words), told


@pytest.mark.parametrize(
    ('task', 'options'),
    [
        ('seg', ['model.backbone.in_channels=4', 'model.data_preprocessor.mean=None']),
        ('seg', ['model.backbone.in_channels=4', 'model.data_preprocessor.mean=[0]']),
        ('seg', ['model.neck=None', 'model.decode_head.in_channels=[8,16,16,16]']),
        ('seg', ['model.backbone.out_indices=[1,2]']),  # the neck says what it makes of fewer maps
        ('cls', ['model.backbone.out_indices=-1']),
        ('cls', ['model.neck=None', 'model.head.type=ArcFaceClsHead']),  # a head may read anything
        ('seg', ['model.backbone.type=mmpretrain.ResNet']),
    ],
)
def test_places_that_may_agree(task: str, options: list[str], changed: Callable[..., Config]) -> None:
    check_agreement(changed(task, *options))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['init_cfg=weights.pth'], ["'weights.pth' must be a group of settings"]),
        (['init_cfg.checkpoint=weights.pth'], ['with a type', 'Pretrained']),
        (['init_cfg.type=Pretrained'], ['names no checkpoint']),
        (['init_cfg.type=Pretrained', 'init_cfg.checkpoint=nowhere.pth'], ["'nowhere.pth' does not exist"]),
        (['init_cfg.type=mmengine.model.PretrainedInit', 'init_cfg.checkpoint=.'], ['folder']),
    ],
)
def test_weights_to_start_from(options: list[str], words: list[str], changed: Callable[..., Config]) -> None:
    config = changed('seg', *(f'model.backbone.{option}' for option in options))
    told = message(lambda: check_pretrained(config))
    assert all(word in told for word in words), told


@pytest.mark.parametrize('init', [{'type': PretrainedInit, 'checkpoint': 'a.pth'}, {'type': 'mmengine.Pretrained'}])
def test_a_start_from_weights_is_known_by_its_class(init: dict, configs: dict[str, Config]) -> None:
    model = nn.Sequential(SepViT(MICRO, init_cfg=init))
    assert random_start(model, configs['seg']) is None
    assert 'RANDOM' in (random_start(nn.Sequential(SepViT(MICRO)), configs['seg']) or '')


MICRO = {'channels': (8, 8, 8, 8), 'depths': (1,) * 4, 'num_heads': (1,) * 4, 'window_sizes': ((7,),) * 4}

HEAD = {'type': 'mmseg.FPNHead', 'in_channels': [8, 8], 'in_index': [0, 1], 'channels': 8, 'num_classes': 3}
HEAD = {**HEAD, 'feature_strides': [4, 8]}
MODEL = {'type': 'mmseg.EncoderDecoder', 'backbone': {'type': 'SepViT'}, 'decode_head': HEAD}


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        ({**HEAD, 'num_classes': 'abc'}, ['FPNHead cannot be built', 'TypeError']),
        ({**HEAD, 'num_classes': None}, ['FPNHead cannot be built', 'TypeError']),
        ({**HEAD, 'num_classes': -1}, ['FPNHead cannot be built', 'negative dimension']),
        ({**HEAD, 'in_channels': 8}, ['FPNHead cannot be built', 'AssertionError', 'decode_head.py, line']),
        ({**HEAD, 'loss_decode': None}, ['FPNHead', 'loss_decode must be a dict']),
        ({**HEAD, 'type': None}, ['type=None']),
        ({**HEAD, 'type': 3}, ['type=3']),
        ({**MODEL, 'decode_head': None}, ['EncoderDecoder cannot be built', 'NoneType']),
        ({**MODEL, 'backbone': 'SepViT'}, ['EncoderDecoder cannot be built', 'str']),
        ({'type': 'mmseg.FPN', 'in_channels': [8], 'out_channels': 8, 'num_outs': None}, ['FPN', 'NoneType']),
    ],
)
def test_what_installed_code_fails_on_is_told(config: dict, words: list[str], configs: dict[str, Config]) -> None:
    with DefaultScope.overwrite_default_scope('mmseg'), pytest.raises(Exception) as error:  # noqa: PT011
        MODELS.build(ConfigDict(config))
    told = explain(error.value)
    assert told is not None
    assert all(word in told for word in words), told
    assert len(told.splitlines()) <= 2


@pytest.mark.parametrize('values', [{'lr': None}, {'lr': 'abc'}, {'betas': 3}, {'weight_decay': 'much'}])
def test_what_an_optimizer_fails_on_is_told(values: dict) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011
        OPTIMIZERS.build({'type': 'AdamW', 'params': nn.Linear(1, 1).parameters(), 'lr': 0.1, **values})
    assert (explain(error.value) or '').startswith('AdamW cannot be built')
