"""Layer-wise decay of the rate, parameter by parameter, in the models of the three tasks."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from small_runs import TASKS, small_config
from torch import nn

import mmsepvit
from mmsepvit.config_tree import replace_sync_bn
from mmsepvit.errors import UserError

# Blocks of the small networks: one in each of four stages.
_DEPTHS = {'stages.0.patch_embed': 0, **{f'stages.{i}.{part}': i + 1 for i in range(4) for part in ('blocks', 'cpe')}}
_DEPTHS.update({f'stages.{i}.patch_embed': i for i in range(4)})


def build(task: str, **paramwise: Any) -> tuple[nn.Module, dict[str, dict]]:
    config = Config.fromfile(small_config(task))
    replace_sync_bn(config.model)
    wrapper = {
        'type': 'OptimWrapper',
        'optimizer': {'type': 'AdamW', 'lr': 1.0, 'weight_decay': 0.5},
        'constructor': 'mmsepvit.LayerDecayOptimWrapperConstructor',
        'paramwise_cfg': paramwise,
    }
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        optimizer = build_optim_wrapper(model, wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return model, {names[id(group['params'][0])]: group for group in optimizer.param_groups}


def expected_depth(name: str) -> int:
    """Of five layers and the head: 0 for the stem, 5 for whatever is not in a stage of the backbone."""
    for part, depth in _DEPTHS.items():
        if name.startswith(f'backbone.{part}'):
            return depth
    return 5


@pytest.mark.parametrize('task', TASKS)
def test_every_parameter(task: str) -> None:
    model, groups = build(task, layer_decay_rate=0.5)
    assert groups.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name: group['lr'] for name, group in groups.items()} == {
        name: 0.5 ** (5 - expected_depth(name)) for name in groups
    }
    assert min(group['lr'] for group in groups.values()) == 0.5**5
    assert {group['lr'] for name, group in groups.items() if not name.startswith('backbone.')} == {1.0}


def test_other_options_of_parameters_stay() -> None:
    keys = {'cpe': {'lr_mult': 0.1, 'decay_mult': 0.0}}
    _, groups = build('seg', layer_decay_rate=0.5, norm_decay_mult=0.0, custom_keys=keys)
    assert groups['backbone.stages.1.cpe.proj.weight']['lr'] == pytest.approx(0.1 * 0.5**3)
    assert groups['backbone.stages.1.cpe.proj.weight']['weight_decay'] == 0
    assert groups['backbone.norm3.weight']['weight_decay'] == 0
    assert groups['backbone.stages.1.patch_embed.proj.weight']['weight_decay'] == 0.5


@pytest.mark.parametrize('rate', [None, 0, 1.5, 'high'])
def test_no_rate(rate: Any) -> None:
    with pytest.raises(UserError, match='layer_decay_rate'):
        build('cls', **({} if rate is None else {'layer_decay_rate': rate}))


def test_no_backbone() -> None:
    constructor = mmsepvit.LayerDecayOptimWrapperConstructor(
        {'optimizer': {'type': 'SGD', 'lr': 1.0}}, {'layer_decay_rate': 0.5}
    )
    with pytest.raises(UserError, match='Linear'):
        constructor(nn.Linear(1, 1))
