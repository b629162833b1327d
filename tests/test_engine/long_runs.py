"""What the tests of long runs share: trainings of a few iterations that are stopped, killed and resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from small_runs import short_options, small_config

from mmsepvit.cli.command import run_command
from mmsepvit.cli.train import main as train

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location='cpu', weights_only=False)


def with_hooks(folder: Path, task: str, *hooks: dict) -> str:
    """A config of a small run with further hooks of `kill_at`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f'{task}.py'
    config.write_text(
        f"_base_ = {small_config(task)!r}\ncustom_imports = dict(imports=['kill_at'])\ncustom_hooks = {list(hooks)!r}\n"
    )
    return str(config)


def arguments(config: str, work_dir: Path, task: str, options: list[str], *more: str) -> list[str]:
    return [config, '--mini', '--work-dir', str(work_dir), *more, '--cfg-options', *short_options(task), *options]


def run(task: str, work_dir: Path, *more: str, options: list[str], config: str | None = None) -> int:
    """Trains in this process; returns the exit code."""
    return run_command(train, arguments(config or small_config(task), work_dir, task, options, *more))


def run_process(config: str, task: str, work_dir: Path, cwd: Path, options: list[str], *more: str) -> Any:
    """Trains in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), *arguments(config, work_dir, task, options, *more)],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(HERE), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )


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


def assert_same_run(left: Path, right: Path, score: bool = True) -> None:
    """Two checkpoints have the same weights, optimizer, schedule and averages, and by ``score`` the same best score."""
    left, right = load(left), load(right)
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict'):
        assert_equal(left.get(part), right.get(part), part)
    assert left['meta']['iter'] == right['meta']['iter']
    scores = [checkpoint['message_hub']['runtime_info'].get('best_score') for checkpoint in (left, right)]
    assert not score or scores[0] == scores[1]


def members_of_group(group: int) -> list[int]:
    """Processes of a group that have not ended."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = entry.read_text().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != 'Z':
            found.append(int(entry.parent.name))
    return found
