"""Early stopping counts on after a resumption."""

from __future__ import annotations

from pathlib import Path

import pytest
from long_runs import load, run, with_hooks

EARLY = {'type': 'EarlyStoppingHook', 'monitor': 'mIoU', 'min_delta': 1000.0, 'patience': 2}
OPTIONS = ['train_cfg.max_iters=7', 'train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1']


def last_of(folder: Path) -> int:
    return max(int(file.stem.split('_')[1]) for file in folder.glob('iter_*.pth'))


@pytest.mark.parametrize('stage', ['train', pytest.param('val', marks=pytest.mark.slow)])
def test_resumed_run_ends_where_the_undisturbed_one_does(stage: str, in_mini_root: Path, tmp_path: Path) -> None:
    """No score is better by 1000, so two validations after the first end it."""
    whole = with_hooks(tmp_path / 'a', 'seg', EARLY)
    assert run('seg', tmp_path / 'whole', options=OPTIONS, config=whole) == 0
    assert last_of(tmp_path / 'whole') == 3
    at = {'type': 'SignalAt', 'iteration': 2, 'stage': stage, 'name': 'SIGTERM'}
    stopped = with_hooks(tmp_path / 'b', 'seg', EARLY, at)
    run('seg', tmp_path / 'work', options=OPTIONS, config=stopped)
    assert run('seg', tmp_path / 'work', '--resume', options=OPTIONS, config=whole) == 0
    assert last_of(tmp_path / 'work') == 3
    hubs = [load(tmp_path / name / 'iter_3.pth')['message_hub']['runtime_info'] for name in ('whole', 'work')]
    assert hubs[0]['early_stopping/mIoU'] == hubs[1]['early_stopping/mIoU']
    assert hubs[0]['early_stopping/mIoU']['wait_count'] == 2

    if stage == 'train':
        return
    # It has ended; with more patience it goes on.
    assert run('seg', tmp_path / 'work', '--resume', options=OPTIONS, config=whole) == 0
    assert last_of(tmp_path / 'work') == 3
    patient = with_hooks(tmp_path / 'c', 'seg', {**EARLY, 'patience': 4})
    assert run('seg', tmp_path / 'work', '--resume', options=OPTIONS, config=patient) == 0
    assert last_of(tmp_path / 'work') == 5
