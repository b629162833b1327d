from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmsepvit.cli.command import OptionsAction
from mmsepvit.configs.load import apply_options, arguments, config_folder, load_config
from mmsepvit.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
UPERNET = str(CONFIGS / 'upernet_sepvit_t_ade20k.py')


@pytest.fixture
def config() -> Config:
    return load_config(UPERNET)


def parsed(*pairs: str) -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    return parser.parse_args(['--cfg-options', *pairs]).cfg_options


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('model.backbone.with_cp=True', True),  # an argument that the config leaves out
        ('model.backbone.frozen_stages=1', 1),
        ('model.decode_head.dropout_ratio=0', 0),
        ('model.test_cfg.mode=slide', 'slide'),
        ('model.test_cfg.stride=(341,341)', (341, 341)),
        ('model.backbone.init_cfg.type=Pretrained', 'Pretrained'),
        ('randomness.seed=1', 1),
        ('randomness.diff_rank_seed=True', True),
        ('train_dataloader.batch_size=4', 4),
        ('train_dataloader.prefetch_factor=3', 3),
        ('train_dataloader.dataset.pipeline.0.to_float32=True', True),
        ('optim_wrapper.clip_grad.max_norm=1', 1),  # the config has no clip_grad
        ('optim_wrapper.accumulative_counts=2', 2),
        ('optim_wrapper.optimizer.amsgrad=True', True),
        ('optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult=2', 2),
        ('default_hooks.checkpoint.max_keep_ckpts=1', 1),
        ('default_hooks.checkpoint.priority=LOW', 'LOW'),
        ('param_scheduler.0.end=3', 3),
        ('compile=True', True),
        ('compile.mode=max-autotune', 'max-autotune'),
        ('env_cfg.dist_cfg.backend=gloo', 'gloo'),
        ('env_cfg.resource_limit=8192', 8192),
        ('find_unused_parameters=True', True),
        ('val_evaluator.nan_to_num=0', 0),
        ('work_dir=somewhere', 'somewhere'),
        ('load_from=weights.pth', 'weights.pth'),
    ],
)
def test_option_takes_effect(config: Config, option: str, value: object) -> None:
    assert apply_options(config, parsed(option)) == []
    node = config
    for part in option.split('=')[0].split('.'):
        node = node[int(part)] if isinstance(node, (list, tuple)) else node[part]
    assert node == value


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('model.bakbone.with_cp=True', ['bakbone', "in 'model'", 'backbone']),
        ('model.backbone.with_pc=True', ['with_pc', 'with_cp']),
        ('randomnes.seed=1', ['randomnes', 'randomness']),
        ('randomness.sed=1', ['sed', 'seed']),
        ('train_dataloader.batchsize=4', ['batchsize', 'batch_size']),
        ('default_hooks.checkpoint.max_keep_ckpt=1', ['max_keep_ckpt', 'max_keep_ckpts']),
        ('default_hooks.checkpont.interval=1', ['checkpont', 'checkpoint']),
        ('optim_wrapper.optimizer.learning_rate=1', ['learning_rate', 'optim_wrapper.optimizer']),
        ('optim_wrapper.clip_grad.maxnorm=1', ['maxnorm', 'max_norm']),
        ('val_evaluator.iou_metrcs=x', ['iou_metrcs', 'iou_metrics']),  # its class has **kwargs
        ('train_cfg.max_epochs=3', ['max_epochs']),  # the loop counts iterations
        ('train_cfg.max_iter=3', ['max_iters']),
        ('compile.modus=x', ['modus', 'mode']),
        ('xyz=1', ['xyz']),
        ('train_dataloader.dataset.pipeline.99.type=Resize', ['list of 7', '99']),
        ('train_dataloader.dataset.pipeline.type=Resize', ['list of 7', 'type']),
        ('model.backbone.arch.depth=1', ['model.backbone.arch', 'tiny']),
        ('model.backbone=3', ['group', 'model.backbone.type']),
    ],
)
def test_wrong_option_is_named(config: Config, option: str, words: list[str]) -> None:
    before = config.pretty_text
    with pytest.raises(UserError) as error:
        apply_options(config, parsed(option))
    message = str(error.value)
    assert message.startswith('--cfg-options ')
    assert all(word in message for word in words), message
    assert len(message.splitlines()) <= 3
    assert config.pretty_text == before


def test_type_given_after_its_argument(config: Config) -> None:
    options = parsed('optim_wrapper.loss_scale=dynamic', 'optim_wrapper.type=AmpOptimWrapper')
    apply_options(config, options)
    assert config.optim_wrapper.loss_scale == 'dynamic'


def test_helper_variable_is_noted(config: Config) -> None:
    (note,) = apply_options(config, parsed('data_root=/data/ade'))
    assert 'data_root' in note
    assert 'nothing reads it' in note


@pytest.mark.parametrize('pair', ['model.backbone.with_cp', '=3', 'train_cfg.x=[1,2'])
def test_malformed_pair(pair: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parsed(pair)
    assert '--cfg-options' in capsys.readouterr().err


def test_arguments_through_bases() -> None:
    class Base:
        def __init__(self, shared: int, **kwargs: int) -> None: ...

    class Between(Base): ...

    class Child(Between):
        def __init__(self, own: int, **kwargs: int) -> None: ...

    class Closed(Child):
        def __init__(self, only: int) -> None: ...

    assert arguments(Child) == ({'own', 'shared'}, True)
    assert arguments(Closed) == ({'only'}, False)
    assert arguments(Hook) == (set(), True)


def test_every_config_loads() -> None:
    assert config_folder() == CONFIGS
    files = sorted(CONFIGS.glob('*.py'))
    assert len(files) == 22
    for file in files:
        load_config(str(file))


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('configs/upernet_sepvit_t_ade20.py', ['upernet_sepvit_t_ade20k']),
        (f'somewhere/{Path(UPERNET).name}', [UPERNET]),  # right name, wrong folder
        ('configs/zzz.py', [str(CONFIGS)]),
        (str(CONFIGS), ['folder']),
    ],
)
def test_unknown_config(name: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        load_config(name)
    assert name in str(error.value)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('model = dict(', 'Python'),
        ("_base_ = './not_there.py'", 'not_there.py'),
        ('model = dict()', 'default_scope'),
        ("default_scope = 'mmpose'", 'mmpose'),
    ],
)
def test_broken_config(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / 'broken.py'
    file.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(str(file))
    assert str(file) in str(error.value)
    assert word in str(error.value)
