"""Steps that are not finite change nothing, are named, and end the training after a few in a row."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from long_runs import HERE, ROOT, load, run, with_hooks
from mmengine.optim import OptimWrapper
from torch import nn

from mmsepvit.engine.non_finite import NonFiniteHook

OPTIONS = [
    'train_cfg.max_iters=6',
    'train_cfg.val_interval=6',
    'default_hooks.checkpoint.interval=1',
    'default_hooks.checkpoint.max_keep_ckpts=2',
]


def all_finite(path: Path) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in load(path)['state_dict'].values())


def log_of(work_dir: Path) -> str:
    return next(work_dir.glob('*/*.log')).read_text()


def test_rate_too_high(in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It ends, says at which iteration, loss, rate and images, and keeps what was good."""
    options = [*OPTIONS, 'optim_wrapper.optimizer.lr=1e30', 'param_scheduler=None']
    assert run('seg', tmp_path, options=options) == 2
    message = capsys.readouterr().err.strip().splitlines()[-3:]
    assert message[0].startswith('error: the training has failed 3 times in a row. iteration 4: loss is nan')
    assert 'rate 1e+30' in message[0]
    assert message[0].count('.jpg') == 2
    assert 'tools/replay.py' in message[1]
    assert [path.name for path in tmp_path.glob('iter_*.pth')] == ['iter_1.pth']
    assert all_finite(tmp_path / 'iter_1.pth')


@pytest.mark.parametrize('what', ['images', 'gradient'])
def test_failed_steps_change_nothing(what: str, in_mini_root: Path, tmp_path: Path) -> None:
    """Neither weights nor the optimizer's state nor the statistics of BatchNorm; the run goes on."""
    config = with_hooks(tmp_path, 'seg', {'type': 'SpoilAt', 'iterations': (2, 4), 'what': what})
    options = [*OPTIONS, 'default_hooks.checkpoint.max_keep_ckpts=9']
    assert run('seg', tmp_path / 'work', options=options, config=config) == 0
    saved = sorted(path.name for path in (tmp_path / 'work').glob('iter_*.pth'))
    assert saved == ['iter_1.pth', 'iter_2.pth', 'iter_4.pth', 'iter_6.pth']  # none after a failed step
    assert all(all_finite(path) for path in (tmp_path / 'work').glob('*.pth'))
    steps = load(tmp_path / 'work' / 'iter_6.pth')['optimizer']['state'][0]['step']
    assert int(steps) == 4
    log = log_of(tmp_path / 'work')
    assert 'iteration 3: ' in log
    assert ('loss is nan' if what == 'images' else 'the gradient is not finite') in log


def test_stop_at_once(in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    hooks = {'type': 'SpoilAt', 'iterations': (2,)}, {'type': 'mmsepvit.NonFiniteHook', 'stop_after': 1}
    assert run('seg', tmp_path / 'work', options=OPTIONS, config=with_hooks(tmp_path, 'seg', *hooks)) == 2
    assert 'iteration 3' in capsys.readouterr().err


def test_replay_says_where_it_begins(in_mini_root: Path, tmp_path: Path) -> None:
    config = with_hooks(tmp_path, 'seg', {'type': 'SpoilAt', 'iterations': (2,), 'what': 'images'})
    run('seg', tmp_path / 'work', options=OPTIONS, config=config)
    batch = tmp_path / 'work' / 'non_finite' / 'iter_3_rank_0.pth'
    command = [sys.executable, str(ROOT / 'tools' / 'replay.py'), str(tmp_path / 'work' / 'seg.py'), str(batch)]
    settings = {'capture_output': True, 'text': True, 'check': False, 'cwd': in_mini_root}
    settings['env'] = {**os.environ, 'PYTHONPATH': str(HERE)}
    refused = subprocess.run(command, **settings)
    assert refused.returncode == 2
    assert '--trust' in refused.stderr
    done = subprocess.run([*command, '--trust'], **settings)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'the batch itself is not finite: 2 tensors' in done.stdout
    assert 'first layer with an output that is not finite: backbone.stages.0.patch_embed.proj (Conv2d)' in done.stdout
    assert 'loss: nan (then nan)' in done.stdout


def test_steps_of_a_scaler_are_not_counted() -> None:
    """fp16's scaler looks for infinite gradients itself and does not call the optimizer."""
    model = nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    hook = NonFiniteHook()
    wrapper.optimizer.register_step_pre_hook(hook._before_step)
    before = model.weight.item()
    model.weight.grad, model.bias.grad = torch.full((1, 1), math.inf), torch.ones(1)
    wrapper.step()
    assert hook._skipped
    assert model.weight.item() == before
    hook._skipped = False
    model.weight.grad, model.bias.grad = torch.full((1, 1), 1e30), torch.ones(1)  # finite, though its square is not
    wrapper.step()
    assert not hook._skipped
