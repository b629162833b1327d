"""The long test of everything that a week-long training meets; ``make soak`` runs it.

A training is killed at random moments, resumed each time, and must end as one that nobody has killed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from forked_runs import ForkedRun, free_port
from long_runs import HERE, ROOT, arguments, assert_same_run, members_of_group, with_hooks
from small_runs import short_options, small_config

from mmsepvit.checkpoints.read import read_checkpoint
from mmsepvit.errors import UserError

KILLS = int(os.environ.get('SOAK_KILLS', '40'))
"""Number of kills of all settings together."""

_SETTINGS = {
    'iterations': ('seg', 1, ['train_cfg.max_iters=30', 'train_cfg.val_interval=6']),
    'epochs': ('cls', 1, ['train_cfg.max_epochs=6', 'train_dataloader.num_batch_per_epoch=5']),
    # Of a model without BatchNorm, whose statistics are each process's own on CPUs.
    'two processes': ('cls', 2, ['train_cfg.max_epochs=6', 'train_dataloader.num_batch_per_epoch=5']),
    'one file kept': ('seg', 1, ['train_cfg.max_iters=30', 'train_cfg.val_interval=6']),
}


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

    def start(work_dir: Path) -> ForkedRun:
        return ForkedRun(arguments(config, work_dir, task, options, '--resume'), mini_root, log, processes, free_port())

    def end(run: ForkedRun) -> None:
        assert run.wait() == [0] * processes, log.read_text()[-3000:]

    end(start(tmp_path / 'first'))  # the first of all, which would time the imports
    begin = time.monotonic()
    end(start(tmp_path / 'whole'))
    duration = time.monotonic() - begin
    assert_same_end(tmp_path / 'whole', tmp_path / 'first')

    draws = random.Random(setting)
    counts: Counter[str] = Counter()
    work_dir = tmp_path / 'killed'
    while counts['kills'] < KILLS // len(_SETTINGS):
        run = start(work_dir)
        if run.wait(draws.uniform(0.1, 1.0) * duration).count(None) == processes:
            run.kill()
            counts['kills'] += 1
            counts['in the middle of a write'] += any(work_dir.glob('*.part'))
            counts['before the first checkpoint'] += not any(work_dir.glob('*.pth'))
            counts['checkpoints left, all whole'] += assert_all_whole(work_dir)
            continue
        end(run)
        assert_same_end(tmp_path / 'whole', work_dir)
        counts['ends equal to that of the undisturbed run'] += 1
        shutil.rmtree(work_dir)  # and again from the beginning
    end(start(work_dir))
    assert_same_end(tmp_path / 'whole', work_dir)
    counts['ends equal to that of the undisturbed run'] += 1
    print(f'soak, {setting}: {dict(counts)}')


def assert_all_whole(folder: Path) -> int:
    files = list(folder.glob('*.pth'))
    for file in files:
        try:
            read_checkpoint(str(file))
        except UserError as error:
            pytest.fail(str(error))
    return len(files)


def assert_same_end(whole: Path, killed: Path) -> None:
    files = [sorted(file.name for file in folder.glob('*.pth')) for folder in (whole, killed)]
    assert files[0] == files[1]
    assert not list(killed.glob('*.part'))
    for name in files[0]:
        assert_same_run(whole / name, killed / name)


@pytest.mark.slow
def test_memory_and_descriptors_stay_flat(mini_root: Path, tmp_path: Path) -> None:
    """2,000 iterations of detection with validations between: nothing grows after the first 300."""
    options = [*short_options('det'), 'train_cfg.max_epochs=20', 'train_dataloader.num_batch_per_epoch=100']
    options += ['train_dataloader.batch_size=1', 'default_hooks.checkpoint.max_keep_ckpts=1']
    options += ['default_hooks.logger.interval=50', 'train_dataloader.num_workers=1']
    words = [sys.executable, str(ROOT / 'tools' / 'train.py'), small_config('det'), '--mini']
    words += ['--work-dir', str(tmp_path / 'work'), '--cfg-options', *options]
    log = tmp_path / 'log.txt'
    with log.open('w') as output:
        process = subprocess.Popen(
            words,
            cwd=mini_root,
            env={**os.environ, 'PYTHONPATH': f'{HERE}{os.pathsep}{ROOT}'},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    seen: list[tuple[int, int, int]] = []
    while process.poll() is None:
        logs = list((tmp_path / 'work').glob('*/*.log'))
        epochs = logs[0].read_text().count('Saving checkpoint') if logs else 0
        if epochs >= 3:
            folder = Path('/proc') / str(process.pid)
            try:
                status = (folder / 'status').read_text()
                resident = int(status.split('VmRSS:')[1].split()[0]) // 1024
                children = len((folder / 'task' / str(process.pid) / 'children').read_text().split())
                seen.append((resident, len(list((folder / 'fd').iterdir())), children))
            except (OSError, IndexError):  # it has just ended
                break
        time.sleep(1)
    assert process.wait() == 0, log.read_text()[-3000:]
    assert not members_of_group(process.pid)
    third = len(seen) // 3
    assert third >= 5
    print(f'soak, 2,000 iterations: MiB, open files and processes of each second: {seen}')
    for number, name, allowed in ((0, 'MiB', 30), (1, 'open files', 8), (2, 'processes', 1)):
        early, late = (max(each[number] for each in part) for part in (seen[:third], seen[-third:]))
        print(f'soak, 2,000 iterations: {name} at most {early} in the first third, {late} in the last')
        assert late <= early + allowed, [each[number] for each in seen]
