"""A full disk: a message that says what is needed, nothing half written, and a run that goes on when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from long_runs import assert_same_run, run

from mmsepvit.checkpoints.write import write_whole
from mmsepvit.errors import UserError


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('this user must not mount')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def grow(folder: Path) -> None:
    subprocess.run(['mount', '-o', 'remount,size=60m', str(folder)], check=True)


def test_file(small_disk: Path) -> None:
    path = small_disk / 'a.pth'
    write_whole(b'old', path)
    with pytest.raises(UserError, match=r'a\.pth.*No space left on device. It needs 3\.0 MB, and 2\.\d MB are free'):
        write_whole(bytes(3_000_000), path)
    assert path.read_bytes() == b'old'
    assert list(small_disk.iterdir()) == [path]
    grow(small_disk)
    write_whole(bytes(3_000_000), path)
    assert path.stat().st_size == 3_000_000


def test_training(small_disk: Path, in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ['train_cfg.max_iters=6', 'train_cfg.val_interval=6', 'default_hooks.checkpoint.interval=1']
    options += ['default_hooks.checkpoint.max_keep_ckpts=-1', 'default_hooks.checkpoint.save_best=None']
    run('seg', tmp_path / 'whole', options=options)
    assert run('seg', small_disk, options=options) == 2
    message = capsys.readouterr().err.strip().splitlines()[-2:]
    assert message[0].startswith(f"error: '{small_disk}/iter_")
    assert 'No space left on device' in message[0]
    assert '--resume' in message[1]
    assert not list(small_disk.glob('*.part'))
    grow(small_disk)
    assert run('seg', small_disk, '--resume', options=options) == 0
    assert_same_run(tmp_path / 'whole' / 'iter_6.pth', small_disk / 'iter_6.pth')
