"""A killed and resumed training ends with the weights of an uninterrupted one, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import short_options, small_config

from mmsepvit.checkpoints.start import latest_checkpoint
from mmsepvit.cli.train import main as train

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

SCHEDULES = {
    # A checkpoint after three iterations, killed before the sixth of six.
    'seg': (
        ['train_cfg.max_iters=6', 'train_cfg.val_interval=3', 'default_hooks.checkpoint.interval=3'],
        5,
        'iter_3.pth',
        'iter_6.pth',
    ),
    # A checkpoint after the first of two epochs of two iterations, killed in the second.
    'cls': (['train_cfg.max_epochs=2'], 3, 'epoch_1.pth', 'epoch_2.pth'),
}


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location='cpu', weights_only=False)


def run(task: str, work_dir: Path, *more: str, options: list[str], resume: bool = False) -> None:
    arguments = [small_config(task), '--mini', '--work-dir', str(work_dir)]
    arguments += ['--resume'] if resume else []
    train([*arguments, *more, '--cfg-options', *short_options(task), *options])


def assert_equal(left: Any, right: Any, where: str = '') -> None:
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal(left[key], right[key], f'{where}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for i, (a, b) in enumerate(zip(left, right)):
            assert_equal(a, b, f'{where}.{i}')
    else:
        assert left == right, where


@pytest.mark.parametrize('task', ['seg', 'cls'])
def test_killed_and_resumed_equals_uninterrupted(task: str, in_mini_root: Path, tmp_path: Path) -> None:
    options, kill_at, saved, last = SCHEDULES[task]
    run(task, tmp_path / 'whole', options=options)

    config = tmp_path / f'{task}_killed.py'
    config.write_text(
        f'_base_ = {small_config(task)!r}\n'
        "custom_imports = dict(imports=['kill_at'])\n"
        f"custom_hooks = [dict(type='KillAt', iteration={kill_at})]\n"
    )
    work_dir = tmp_path / 'killed'
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(config), '--mini']
    command += ['--work-dir', str(work_dir), '--cfg-options', *short_options(task), *options]
    killed = subprocess.run(
        command,
        cwd=in_mini_root,
        env={**os.environ, 'PYTHONPATH': str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert (work_dir / saved).is_file()
    assert not (work_dir / last).exists()

    # With workers, which draw in processes of their own.
    workers = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True']
    run(task, work_dir, options=options + workers, resume=True)

    whole, resumed = load(tmp_path / 'whole' / last), load(work_dir / last)
    assert whole['meta']['iter'] == resumed['meta']['iter']
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_equal(whole[part], resumed[part], part)
    # and the training did something between the two checkpoints
    before = load(work_dir / saved)['state_dict']
    assert any(not torch.equal(before[key], whole['state_dict'][key]) for key in before)


def test_resume_from_named_checkpoint_with_another_seed(in_mini_root: Path, tmp_path: Path) -> None:
    """The run belongs to the seed it began with, whatever the config says now."""
    options = SCHEDULES['seg'][0]
    seed = ['randomness.seed=5']
    run('seg', tmp_path / 'whole', options=options + seed)
    checkpoint = str(tmp_path / 'whole' / 'iter_3.pth')
    run('seg', tmp_path / 'other', '--resume', checkpoint, options=options)
    whole, other = (load(tmp_path / name / 'iter_6.pth') for name in ('whole', 'other'))
    assert_equal(whole['state_dict'], other['state_dict'])


def test_other_seed_is_another_run(in_mini_root: Path, tmp_path: Path) -> None:
    """Else the equalities above would say nothing."""
    weights = []
    for seed in (0, 1):
        run('seg', tmp_path / str(seed), options=[f'randomness.seed={seed}', 'train_cfg.max_iters=1'])
        weights.append(load(tmp_path / str(seed) / 'iter_1.pth')['state_dict'])
    assert any(not torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_resume_without_checkpoint_starts(in_mini_root: Path, tmp_path: Path) -> None:
    run('seg', tmp_path, options=['train_cfg.max_iters=1'], resume=True)
    assert (tmp_path / 'iter_1.pth').is_file()


def test_latest_readable_checkpoint(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        torch.save({'state_dict': {'weight': torch.zeros(1)}}, tmp_path / f'iter_{step}.pth')
    (tmp_path / 'last_checkpoint').write_text('/moved/from/elsewhere/iter_4.pth')
    assert latest_checkpoint(str(tmp_path)) == (str(tmp_path / 'iter_4.pth'), [])

    # Killed while it saved: the note names a file that is not whole.
    whole = (tmp_path / 'iter_4.pth').read_bytes()
    (tmp_path / 'iter_4.pth').write_bytes(whole[:-20])
    path, notes = latest_checkpoint(str(tmp_path))
    assert path == str(tmp_path / 'iter_10.pth')
    assert len(notes) == 1
    assert 'iter_4.pth' in notes[0]

    (tmp_path / 'last_checkpoint').unlink()
    assert latest_checkpoint(str(tmp_path))[0] == str(tmp_path / 'iter_10.pth')
