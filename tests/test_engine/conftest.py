"""Runs of the three tasks that take seconds: small networks, few iterations, the mini data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# mmengine's loggers outlive a test and pytest's capture of its output.
logging.raiseExceptions = False

CONFIGS = Path(__file__).parent / 'configs'
TASKS = ('seg', 'det', 'cls')

# Two images are enough to see that a validation or a test runs.
_FEW = [
    'val_dataloader.num_batch_per_epoch=2',
    'test_dataloader.num_batch_per_epoch=2',
    'val_dataloader.batch_size=1',
    'test_dataloader.batch_size=1',
    'train_dataloader.batch_size=2',
]
_SHORT = {
    'seg': ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=1'],
    'det': ['train_cfg.max_epochs=1', 'train_dataloader.num_batch_per_epoch=2'],
    'cls': ['train_cfg.max_epochs=1', 'train_dataloader.num_batch_per_epoch=2'],
}
LAST = {'seg': 'iter_2.pth', 'det': 'epoch_1.pth', 'cls': 'epoch_1.pth'}


def small_config(task: str) -> str:
    return str(CONFIGS / f'{task}.py')


def short_options(task: str, training: bool = True) -> list[str]:
    return _FEW + (_SHORT[task] if training else [])


@pytest.fixture
def in_mini_root(mini_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Works in the folder that holds ``data/mini``."""
    monkeypatch.chdir(mini_root)
    return mini_root


@pytest.fixture(scope='session')
def trained(
    mini_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Trains a task's small network once a session; returns its work directory."""
    from mmsepvit.engine.cli import train

    done: dict[str, Path] = {}

    def get(task: str) -> Path:
        if task not in done:
            folder = tmp_path_factory.mktemp(f'trained_{task}')
            arguments: list[Any] = [small_config(task), '--mini', '--work-dir', str(folder)]
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(mini_root)
                train([*arguments, '--cfg-options', *short_options(task)])
            done[task] = folder
        return done[task]

    return get
