"""Signals end a training between two iterations, with its state saved and nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from long_runs import HERE, ROOT, arguments, assert_same_run, load, members_of_group, run, with_hooks
from small_runs import small_config

OPTIONS = ['train_cfg.max_iters=6', 'train_cfg.val_interval=3', 'default_hooks.checkpoint.interval=6']


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1', 'SIGINT'])
def test_saves_and_says_how_to_go_on(
    name: str, in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = with_hooks(tmp_path, 'seg', {'type': 'SignalAt', 'iteration': 1, 'name': name})
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)}
    assert run('seg', tmp_path / 'work', options=OPTIONS, config=config) == 128 + getattr(signal, name)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message == f'stopped by {name} after iteration 2; go on with the same command and --resume'
    assert load(tmp_path / 'work' / 'stopped.pth')['meta']['iter'] == 2
    assert (tmp_path / 'work' / 'last_checkpoint').read_text().endswith('stopped.pth')
    assert {number: signal.getsignal(number) for number in before} == before


def test_in_a_validation(in_mini_root: Path, tmp_path: Path) -> None:
    """Its averaged weights are put back, and it is done again on resuming."""
    ema = {'type': 'EMAHook', 'momentum': 0.1}
    whole = with_hooks(tmp_path / 'a', 'seg', {'type': 'SignalAt', 'iteration': -1}, ema)
    assert run('seg', tmp_path / 'whole', options=OPTIONS, config=whole) == 0
    at = {'type': 'SignalAt', 'iteration': 3, 'name': 'SIGTERM', 'stage': 'val'}
    config = with_hooks(tmp_path / 'b', 'seg', at, ema)
    assert run('seg', tmp_path / 'work', options=OPTIONS, config=config) == 128 + signal.SIGTERM
    assert load(tmp_path / 'work' / 'stopped.pth')['meta']['iter'] == 3
    assert run('seg', tmp_path / 'work', '--resume', options=OPTIONS, config=whole) == 0
    assert_same_run(tmp_path / 'whole' / 'iter_6.pth', tmp_path / 'work' / 'iter_6.pth')
    assert (tmp_path / 'work' / 'best_mIoU_iter_3.pth').is_file() == (
        tmp_path / 'whole' / 'best_mIoU_iter_3.pth'
    ).is_file()


@pytest.mark.parametrize('again', [False, True])
def test_a_process_with_workers(again: bool, mini_root: Path, tmp_path: Path) -> None:
    """A signal to the whole group, as Slurm and a terminal send it; a second Ctrl-C does not wait."""
    options = ['train_cfg.max_iters=100000', 'train_cfg.val_interval=100000', 'train_dataloader.num_workers=2']
    options += ['train_dataloader.persistent_workers=True', 'default_hooks.checkpoint.interval=100000']
    command = [sys.executable, str(ROOT / 'tools' / 'train.py')]
    command += arguments(small_config('seg'), tmp_path, 'seg', options)
    process = subprocess.Popen(
        command,
        cwd=mini_root,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(HERE), str(ROOT)])},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        _stop(process, again, tmp_path)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _stop(process: subprocess.Popen, again: bool, work_dir: Path) -> None:
    deadline = time.monotonic() + 400
    while not any('Iter(train)' in log.read_text() for log in work_dir.glob('*/*.log')):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    if again:  # two Ctrl-C
        os.kill(process.pid, signal.SIGSTOP)  # so that the first is not answered before the second
        os.killpg(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(1.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert 'Traceback' not in errors
    if again:
        assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    else:
        assert process.returncode == 128 + signal.SIGTERM
        assert 'stopped by SIGTERM' in errors
        assert (work_dir / 'stopped.pth').is_file()
    deadline = time.monotonic() + 20
    while members_of_group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not members_of_group(process.pid)
