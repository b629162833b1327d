"""`--cfg-options compile=True`: SepViT alone is compiled, in one graph, for what was asked."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from small_runs import LAST, TASKS, short_options, small_config
from torch import nn
from torch._dynamo.testing import CompileCounter

from mmsepvit import SepViT
from mmsepvit.cli.train import main as train
from mmsepvit.engine.compiling import compile_backbones

ARCH = {'channels': (8, 16), 'depths': (1, 1), 'num_heads': (2, 2), 'window_sizes': ((4,), (4,))}
IMAGES = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)


@pytest.fixture
def model() -> nn.Module:
    return nn.ModuleDict({'backbone': SepViT(ARCH, out_indices=(0, 1))})


@pytest.mark.parametrize('training', [True, False])
def test_one_graph_in_the_mode_asked_for(model: nn.Module, training: bool) -> None:
    names, expected = list(model.state_dict()), model['backbone'](IMAGES)
    counter = CompileCounter()
    assert compile_backbones(model, training, backend=counter, fullgraph=True) == 1
    assert list(model.state_dict()) == names  # checkpoints keep their names

    model.train(not training)
    model['backbone'](IMAGES)
    assert counter.frame_count == 0
    model.train(training)
    outs = model['backbone'](IMAGES)
    assert counter.frame_count == 1
    for out, wanted in zip(outs, expected):
        torch.testing.assert_close(out, wanted)
    sum(out.sum() for out in outs).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_another_size_is_another_graph(model: nn.Module) -> None:
    """By itself torch.compile solves for the sizes from the second one on, which Inductor is not up to in training."""
    counter = CompileCounter()
    compile_backbones(model, True, backend=counter)
    for side in (32, 48, 64):
        model['backbone'](torch.zeros(1, 3, side, side))
    assert counter.frame_count == 3


def test_a_copy_runs_on_its_own_weights(model: nn.Module) -> None:
    compile_backbones(model, True, backend='eager')
    model['backbone'](IMAGES)
    other = copy.deepcopy(model)  # as EMA makes one
    with torch.no_grad():
        other['backbone'].norm1.bias += 1
    torch.testing.assert_close(other['backbone'](IMAGES)[1], model['backbone'](IMAGES)[1] + 1)


def test_no_sepvit_nothing_done() -> None:
    assert compile_backbones(nn.Linear(2, 2), True) == 0


@pytest.mark.slow
@pytest.mark.parametrize('task', TASKS)
def test_trains(task: str, in_mini_root: Path, tmp_path: Path) -> None:
    options = [*short_options(task), 'compile=True']
    train([small_config(task), '--mini', '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert (tmp_path / LAST[task]).is_file()
    assert 'compile: 1 SepViT' in next(tmp_path.glob('*/*.log')).read_text()
