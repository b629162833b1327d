"""The long test of everything that a week-long training meets; ``make soak`` runs it.

A training is killed at random moments, resumed each time, and must end as one that nobody has killed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from long_runs import HERE, ROOT, assert_same_run, with_hooks
from small_runs import short_options, small_config

KILLS = int(os.environ.get('SOAK_KILLS', '40'))
"""Number of kills of all settings together."""

_SETTINGS = {
    'iterations': ('seg', 1, ['train_cfg.max_iters=30', 'train_cfg.val_interval=6']),
    'epochs': ('cls', 1, ['train_cfg.max_epochs=6', 'train_dataloader.num_batch_per_epoch=5']),
    'two processes': ('seg', 2, ['train_cfg.max_iters=30', 'train_cfg.val_interval=6']),
    'one file kept': ('seg', 1, ['train_cfg.max_iters=30', 'train_cfg.val_interval=6']),
}


def command(task: str, processes: int, work_dir: Path, options: list[str], config: str) -> list[str]:
    script = [sys.executable, str(ROOT / 'tools' / 'train.py'), config]
    if processes > 1:
        script = [str(ROOT / 'tools' / 'dist_train.sh'), config, str(processes)]
    rest = ['--mini', '--resume', '--work-dir', str(work_dir), '--cfg-options', *short_options(task), *options]
    return script + rest


def start(words: list[str], cwd: Path, log: Path) -> subprocess.Popen:
    environment = {**os.environ, 'PYTHON': sys.executable, 'PYTHONPATH': f'{HERE}{os.pathsep}{ROOT}'}
    return subprocess.Popen(
        words, cwd=cwd, env=environment, stdout=log.open('w'), stderr=subprocess.STDOUT, start_new_session=True
    )


@pytest.mark.slow
@pytest.mark.parametrize('setting', _SETTINGS)
def test_killed_at_random_moments(setting: str, mini_root: Path, tmp_path: Path) -> None:
    task, processes, options = _SETTINGS[setting]
    if processes > 1 and torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    interval = 'default_hooks.checkpoint.interval=' + ('1' if task == 'cls' else '2')
    keep = 'default_hooks.checkpoint.max_keep_ckpts=' + ('1' if setting == 'one file kept' else '3')
    options = [*options, interval, keep, 'val_dataloader.num_batch_per_epoch=8']
    config = with_hooks(tmp_path / 'config', task, {'type': 'EMAHook', 'momentum': 0.1})
    log = tmp_path / 'log.txt'
    begin = time.monotonic()
    whole = start(command(task, processes, tmp_path / 'whole', options, config), mini_root, log)
    assert whole.wait() == 0, log.read_text()[-3000:]
    duration = time.monotonic() - begin

    draws = random.Random(setting)
    killed = 0
    work_dir = tmp_path / 'killed'
    while killed < KILLS // len(_SETTINGS):
        process = start(command(task, processes, work_dir, options, config), mini_root, log)
        try:
            process.wait(draws.uniform(0.3, 1.1) * duration)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            continue
        assert process.returncode == 0, log.read_text()[-3000:]
        assert_same_end(tmp_path / 'whole', work_dir)
        shutil.rmtree(work_dir)  # and again from the beginning
    process = start(command(task, processes, work_dir, options, config), mini_root, log)
    assert process.wait() == 0, log.read_text()[-3000:]
    assert_same_end(tmp_path / 'whole', work_dir)


def assert_same_end(whole: Path, killed: Path) -> None:
    files = [sorted(file.name for file in folder.glob('*.pth')) for folder in (whole, killed)]
    assert files[0] == files[1]
    last = max(files[0], key=lambda name: int(name.split('_')[-1][:-4]) if name[:4] != 'best' else -1)
    assert_same_run(whole / last, killed / last)


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat(mini_root: Path, tmp_path: Path) -> None:
    """2,000 iterations of detection with validations between: nothing grows after the first 300."""
    options = [*short_options('det'), 'train_cfg.max_epochs=20', 'train_dataloader.num_batch_per_epoch=100']
    options += ['train_dataloader.batch_size=1', 'default_hooks.checkpoint.max_keep_ckpts=1']
    options += ['default_hooks.logger.interval=50', 'train_dataloader.num_workers=1']
    words = [sys.executable, str(ROOT / 'tools' / 'train.py'), small_config('det'), '--mini']
    words += ['--work-dir', str(tmp_path / 'work'), '--cfg-options', *options]
    log = tmp_path / 'log.txt'
    process = start(words, mini_root, log)
    seen: list[tuple[int, int, int]] = []
    while process.poll() is None:
        logs = list((tmp_path / 'work').glob('*/*.log'))
        epochs = logs[0].read_text().count('Saving checkpoint') if logs else 0
        if epochs >= 3:
            folder = Path('/proc') / str(process.pid)
            status = (folder / 'status').read_text()
            resident = int(status.split('VmRSS:')[1].split()[0]) // 1024
            children = len((folder / 'task' / str(process.pid) / 'children').read_text().split())
            seen.append((resident, len(list((folder / 'fd').iterdir())), children))
        time.sleep(1)
    assert process.returncode == 0, log.read_text()[-3000:]
    third = len(seen) // 3
    for number, allowed in ((0, 30), (1, 8), (2, 1)):  # MiB, open files, processes
        early, late = (max(each[number] for each in part) for part in (seen[:third], seen[-third:]))
        assert late <= early + allowed, [each[number] for each in seen]
