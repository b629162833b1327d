"""Two gloo processes on one machine, through the launcher scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from long_runs import assert_same_run, with_hooks
from mmengine.config import Config
from small_runs import short_options, small_config

from mmsepvit.config_tree import replace_sync_bn

ROOT = Path(__file__).parents[2]


def launch(script: str, *arguments: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(ROOT / 'tools' / script), *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout[-4000:]
    return done.stdout


SHORT = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'default_hooks.checkpoint.interval=4']


@pytest.fixture(scope='module')
def whole(mini_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The work directory and the output of a training of four iterations that nothing interrupts."""
    if torch.cuda.is_available():
        pytest.skip('two processes would need two GPUs')
    folder = tmp_path_factory.mktemp('whole')
    options = ['2', '--mini', '--cfg-options', *short_options('seg'), *SHORT]
    return folder, launch('dist_train.sh', small_config('seg'), *options, f'work_dir={folder}', cwd=mini_root)


def test_train_and_test_on_two_processes(whole: tuple[Path, str], mini_root: Path, tmp_path: Path) -> None:
    folder, output = whole
    assert 'Distributed training: True' in output
    assert 'GPU number: 2' in output
    assert output.count('SyncBN works on GPUs alone') == 1  # said once, by one rank
    output = launch(
        'dist_test.sh',
        *(small_config('seg'), str(folder / 'iter_4.pth'), '2', '--mini', '--work-dir', str(tmp_path)),
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
        [str(ROOT / 'tools' / 'dist_train.sh'), 'none.py', '2'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHON': sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count('none.py') == 1, done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_process_of_two_is_told_to_stop(whole: tuple[Path, str], mini_root: Path, tmp_path: Path) -> None:
    """Both end after the same iteration, in silence but for a line, and go on as if nothing had been."""
    stopped = with_hooks(tmp_path / 'b', 'seg', {'type': 'SignalAt', 'iteration': 1, 'name': 'SIGTERM', 'rank': 1})
    rest = ['--mini', '--cfg-options', *short_options('seg'), *SHORT, f'work_dir={tmp_path / "work"}']
    output = launch('dist_train.sh', stopped, '2', *rest, cwd=mini_root, code=128 + signal.SIGTERM)
    assert output.count('stopped by SIGTERM after iteration 2') == 1
    assert 'Traceback' not in output
    launch('dist_train.sh', small_config('seg'), '2', '--resume', *rest, cwd=mini_root)
    # On CPUs each process has BN statistics of its own, and a checkpoint those of the first: what the second one
    # measures after a resumption may differ.
    assert_same_run(whole[0] / 'iter_4.pth', tmp_path / 'work' / 'iter_4.pth', score=False)


def test_mean_over_processes_of_a_detector_is_not_its_loss_of_all_images() -> None:
    """Why RetinaNet on two processes is not RetinaNet on one: mmdet divides by the objects that a process sees.

    Two images with other numbers of positive anchors weigh alike if each is alone in its process, and by these numbers
    if they are in one batch.
    """
    from mmdet.models.losses import FocalLoss

    loss = FocalLoss()
    torch.manual_seed(0)
    scores, labels = torch.randn(2, 50, 1), torch.ones(2, 50, dtype=torch.long)
    labels[0, :2], labels[1, :9] = 0, 0
    positives = (labels == 0).sum(1)
    alone = [loss(scores[i], labels[i], avg_factor=int(positives[i])) for i in range(2)]
    together = loss(scores.flatten(0, 1), labels.flatten(), avg_factor=int(positives.sum()))
    torch.testing.assert_close(together, sum(p * a for p, a in zip(positives, alone)) / positives.sum())
    assert abs(together - sum(alone) / 2) > 0.1 * together
