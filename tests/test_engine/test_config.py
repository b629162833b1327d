from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsepvit.cli.command import OptionsAction
from mmsepvit.configs.load import apply_options, config_folder, load_config
from mmsepvit.configs.sources import load
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
    apply_options(config, parsed(option))
    node = config
    for part in option.split('=')[0].split('.'):
        node = node[int(part)] if isinstance(node, (list, tuple)) else node[part]
    assert node == value


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('model.train_cfg.probs=[0.3,0.7]', [0.3, 0.7]),  # mmpretrain's RandomBatchAugment reads it
        ('data_preprocessor.batch_augments=None', None),
        ('randomness=None', None),
        ('xyz=1', 1),
    ],
)
def test_what_some_class_may_know_is_set(option: str, value: object) -> None:
    config = load_config(str(CONFIGS / 'sepvit_t_imagenet.py'))
    apply_options(config, parsed(option))
    node = config
    for part in option.split('=')[0].split('.'):
        node = node[part]
    assert node == value


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('model.backbone.with_pc=True', ["'model.backbone' had no key 'with_pc'"]),
        ('model.bakbone.with_cp=True', ["'model' had no key 'bakbone'", 'Did you mean backbone?']),
        ('randomnes.seed=1', ["the config had no key 'randomnes'", 'Did you mean randomness?']),
        ('train_dataloader.batchsize=4', ['Did you mean batch_size']),
        ('param_scheduler.0.beginn=4', ["'param_scheduler.0' had no key 'beginn'", 'Did you mean begin']),
        ('model.backbone=3', ['takes the place of a group (type, arch']),
        ('data_root=/data/ade', ['data_root', 'nothing reads it']),  # copied into the data loaders
        ('train_pipeline.0.to_float32=True', ['train_pipeline']),
        ('dataset_type=CocoDataset', ['dataset_type', 'nothing reads it']),
    ],
)
def test_what_may_be_a_slip_is_noted(config: Config, option: str, words: list[str]) -> None:
    (note,) = apply_options(config, parsed(option))
    assert note.startswith('--cfg-options ')
    assert all(word in note for word in words), note


@pytest.mark.parametrize(
    'option', ['train_dataloader.batch_size=4', 'load_from=weights.pth', 'model.test_cfg.mode=slide', 'resume=True']
)
def test_known_key_is_no_matter_of_a_note(config: Config, option: str) -> None:
    assert apply_options(config, parsed(option)) == []


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('train_dataloader.dataset.pipeline.99.type=Resize', ['list of 7', 'from 0 to 6', "'99'"]),
        ('train_dataloader.dataset.pipeline.type=Resize', ['list of 7', "'type'"]),
        ('train_dataloader.dataset.pipeline.-1.type=Resize', ['list of 7']),
        ('model.data_preprocessor.size.2=64', ['tuple of 2', "'2'"]),
        ('model.backbone.arch.depth=1', ["'model.backbone.arch' is 'tiny'"]),
        ('train_dataloader.batch_size.0=1', ["'train_dataloader.batch_size' is 2"]),
        ('custom_imports.imports.0.x=1', ["'custom_imports.imports' is a list of 0"]),
    ],
)
def test_way_that_leads_nowhere_is_refused(config: Config, option: str, words: list[str]) -> None:
    config.custom_imports = {'imports': []}
    before = config.pretty_text
    with pytest.raises(UserError) as error:
        apply_options(config, parsed(option))
    message = str(error.value)
    assert message.startswith(f'--cfg-options {option.split("=")[0]}: ')
    assert all(word in message for word in words), message
    assert config.pretty_text == before


def test_index_into_a_tuple(config: Config) -> None:
    assert config.model.data_preprocessor.size == (512, 512)
    apply_options(config, parsed('model.data_preprocessor.size.0=64'))
    assert config.model.data_preprocessor.size == (64, 512)


@pytest.mark.parametrize(
    'pair',
    [
        'model.backbone.with_cp',
        '=3',
        'train_cfg.x=[1,2',
        'model..with_cp=True',
        'model.=1',
        'a=dict(x=1,y=2)',
        'a={"x":1}',
        'a=[dict(type=A),dict(type=B)]',
        'a=f(1,2)',  # without end in mmengine's parser
        'a=x[1,2]',
    ],
)
def test_malformed_pair(pair: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as error:
        parsed(pair)
    assert error.value.code == 2
    assert '--cfg-options' in capsys.readouterr().err


def test_every_config_loads() -> None:
    assert config_folder() == CONFIGS
    for file in sorted(CONFIGS.glob('*.py')):
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
        ('model = dict(', 'line 1'),
        ('x = 1\nmodel = dict()\ny = [1][2]', 'line 3'),
        ('x = 1\nfrom os import nope', 'line 2'),
        ('from no_such_module import Thing\nmodel = dict(type=Thing)', 'no_such_module'),
        ('from mmengine.config import read_base\nwith read_base():\n    from .nothing import *', 'nothing.py'),
        ("raise RuntimeError('of its own')", 'of its own'),
        ("default_scope = 'mmseg'\nx = int('three')", 'line 2'),
        ("custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)", 'no_such_module'),
        ("_base_ = './not_there.py'", 'not_there.py'),
        ('model = dict()', 'default_scope'),
        ("default_scope = 'mmaction'", 'mmaction'),
    ],
)
def test_broken_config(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / 'broken.py'
    file.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(str(file))
    assert str(file) in str(error.value)
    assert word in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_error_in_a_base_is_told_of_the_base(tmp_path: Path) -> None:
    (tmp_path / 'base.py').write_text("a = 1\nb = 2\nraise ValueError('here')")
    (tmp_path / 'leaf.py').write_text("_base_ = './base.py'")
    with pytest.raises(UserError) as error:
        load(tmp_path / 'leaf.py')
    assert f'ValueError: here\nIt comes from {tmp_path / "base.py"}, line 3.' in str(error.value)


@pytest.mark.parametrize('source', [None, 3, ['a.py'], ''])
def test_what_names_no_config(source: object) -> None:
    with pytest.raises(UserError, match='config'):
        load(source)


@pytest.mark.parametrize('source', ['::x', 'no_such_package::x', 'mmseg.not_there.x::y', 'mmseg::'])
def test_package_without_configs(source: str) -> None:
    with pytest.raises(UserError):
        load_config(source)
