"""Two gloo processes on one machine, through the launcher scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_runs import short_options, small_config

from mmsepvit.config_tree import replace_sync_bn

ROOT = Path(__file__).parents[2]


def launch(script: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [str(ROOT / 'tools' / script), *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason='two processes would need two GPUs')
def test_train_and_test_on_two_processes(mini_root: Path, tmp_path: Path) -> None:
    options = ['--mini', '--work-dir', str(tmp_path)]
    output = launch(
        'dist_train.sh',
        *(small_config('seg'), '2', *options, '--cfg-options', *short_options('seg')),
        cwd=mini_root,
    )
    assert 'Distributed training: True' in output
    assert 'GPU number: 2' in output
    assert output.count('SyncBN works on GPUs alone') == 1  # said once, by one rank
    assert (tmp_path / 'iter_2.pth').is_file()
    output = launch(
        'dist_test.sh',
        *(small_config('seg'), str(tmp_path / 'iter_2.pth'), '2', *options),
        *('--cfg-options', *short_options('seg', training=False)),
        cwd=mini_root,
    )
    assert 'mIoU' in output


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_usage(script: str, tmp_path: Path) -> None:
    done = subprocess.run([str(ROOT / 'tools' / script)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert 'usage' in done.stderr


def test_sync_bn_is_found_everywhere() -> None:
    config = Config.fromfile(ROOT / 'configs' / 'upernet_sepvit_t_ade20k.py')
    assert replace_sync_bn(config.model) == 2
    assert 'SyncBN' not in config.pretty_text
    assert replace_sync_bn(config.model) == 0


def test_user_error_is_said_once(tmp_path: Path) -> None:
    """Not by every process, and without torchrun's own traceback after it."""
    done = subprocess.run(
        [str(ROOT / 'tools' / 'dist_train.sh'), small_config('seg'), '2'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHON': sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert 'no data' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 3, done.stderr
    assert not list(tmp_path.iterdir())
