"""Runs of the three tasks that take seconds: small networks, few iterations, the mini data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.utils import ManagerMixin
from small_runs import short_options, small_config

# mmengine's loggers outlive a test and pytest's capture of its output.
logging.raiseExceptions = False


@pytest.fixture
def in_mini_root(mini_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Works in the folder that holds ``data/mini``."""
    monkeypatch.chdir(mini_root)
    return mini_root


@pytest.fixture(scope='session')
def trained(mini_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trains a task's small network once a session; returns its work directory."""
    from mmsepvit.cli.train import main as train

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


@pytest.fixture(autouse=True)
def _forget_runs() -> Iterator[None]:
    """mmengine knows a run by its config's name and the second: the next test may begin one within the same."""
    yield
    managers = [ManagerMixin]
    for manager in managers:  # loggers, message hubs, the visualizers of each package
        manager._instance_dict.clear()
        managers += manager.__subclasses__()
