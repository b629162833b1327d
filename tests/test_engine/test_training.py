"""Training, testing, pictures, dumps and test-time augmentation of the three tasks."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from small_runs import LAST, TASKS, short_options, small_config

from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train
from mmsepvit.cli.train import parse as parse_train
from mmsepvit.configs.load import load_config
from mmsepvit.engine.runner import build_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
METRIC = {'seg': 'mIoU', 'det': 'coco/segm_mAP_50', 'cls': 'accuracy/top1'}


def scalars(work_dir: Path) -> list[dict]:
    (file,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize('task', TASKS)
def test_train(task: str, trained: Callable[[str], Path]) -> None:
    work_dir = trained(task)
    assert (work_dir / LAST[task]).is_file()
    assert (work_dir / f'{task}.py').is_file()  # the config, with --mini and the options in it
    assert Config.fromfile(work_dir / f'{task}.py').train_dataloader.batch_size == 2
    lines = scalars(work_dir)
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    assert any(METRIC[task] in line for line in lines)  # validated


def test_small(trained: Callable[[str], Path]) -> None:
    """SyncBN of the recipe was reverted to BN, or the training above would have failed on a CPU."""
    config = Config.fromfile(trained('seg') / 'seg.py')
    assert config.model.decode_head.norm_cfg.type == 'SyncBN'
    log = next(trained('seg').glob('*/*.log')).read_text()
    assert 'reverted' in log
    assert '--mini: generated data' in log


def test_mmcv_sync_bn_in_one_process(in_mini_root: Path, tmp_path: Path) -> None:
    """mmcv's own SyncBN, of mmdet::strong_baselines, cannot be built without a process group."""
    config = load_config(small_config('seg'))
    config.work_dir = str(tmp_path)
    config.model.decode_head.norm_cfg.type = 'MMSyncBN'
    runner = build_runner(config)
    norms = {type(m) for m in runner.model.decode_head.modules() if 'Norm' in type(m).__name__}
    assert norms == {torch.nn.BatchNorm2d}
    assert runner.cfg.model.decode_head.norm_cfg.type == 'MMSyncBN'  # what is saved is the user's


@pytest.mark.parametrize('task', TASKS)
def test_test_with_pictures_and_dump(
    task: str, in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    checkpoint = str(trained(task) / LAST[task])
    out, show = tmp_path / 'deep' / 'predictions.pkl', tmp_path / 'pictures'
    metrics = run_test(
        [
            *(small_config(task), checkpoint, '--mini', '--work-dir', str(tmp_path / 'work')),
            *('--out', str(out), '--show-dir', str(show)),
            *('--cfg-options', *short_options(task, training=False)),
        ]
    )
    assert METRIC[task] in metrics
    pictures = sorted([*show.rglob('*.png'), *show.rglob('*.jpg')])
    assert len(pictures) == 2
    assert all(picture.parent == show for picture in pictures)
    with out.open('rb') as file:
        results = pickle.load(file)
    assert len(results) == 2
    if task == 'seg':
        assert set(results[0]) == {'img_path', 'ori_shape', 'pred_sem_seg'}
        assert results[0]['pred_sem_seg'].shape == results[0]['ori_shape']
        assert results[0]['pred_sem_seg'].dtype == np.uint8
    elif task == 'det':
        assert 'bboxes' in results[0]['pred_instances']
    else:
        assert results[0]['pred_score'].shape == (1000,)


def test_png_label_maps(in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path) -> None:
    maps, pickled = tmp_path / 'maps', tmp_path / 'maps.pkl'
    for out in (maps, pickled):
        run_test(
            [
                *(small_config('seg'), str(trained('seg') / LAST['seg']), '--mini'),
                *('--work-dir', str(tmp_path / 'work'), '--out', str(out)),
                *('--cfg-options', *short_options('seg', training=False)),
            ]
        )
    with pickled.open('rb') as file:
        results = pickle.load(file)
    for result in results:
        picture = np.asarray(Image.open(maps / f'{Path(result["img_path"]).stem}.png'))
        # ADE20K's own numbers: 0 is unlabelled, the first class 1.
        assert np.array_equal(picture, result['pred_sem_seg'] + 1)


@pytest.mark.parametrize('task', TASKS)
def test_tta(task: str, in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path) -> None:
    checkpoint = str(trained(task) / LAST[task])
    metrics = run_test(
        [
            *(small_config(task), checkpoint, '--mini', '--tta', '--work-dir', str(tmp_path)),
            *('--cfg-options', *short_options(task, training=False)),
        ]
    )
    metric = METRIC[task].replace('segm', 'bbox')  # mmdet merges boxes alone
    assert metric in metrics
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'Load checkpoint from {checkpoint}' in log
    assert 'unexpected key' not in log  # the weights are those of the model inside
    assert 'missing keys' not in log
    assert ('masks are neither predicted' in log) == (task == 'det')


@pytest.mark.parametrize('task', TASKS)
def test_tta_of_a_config_without_it(
    task: str, in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    text = load_config(small_config(task))
    for key in ('tta_model', 'tta_pipeline'):
        text.pop(key)
    # mmengine knows a run by its config's name and the second: two tasks must not share both in one process.
    plain = tmp_path / f'plain_{task}.py'
    text.dump(plain)
    metrics = run_test(
        [
            *(str(plain), str(trained(task) / LAST[task]), '--mini', '--tta'),
            *('--work-dir', str(tmp_path / 'work')),
            *('--cfg-options', *short_options(task, training=False)),
        ]
    )
    assert METRIC[task].replace('segm', 'bbox') in metrics


def test_load_from(in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path) -> None:
    """Fine-tuning: weights from elsewhere, the schedule from the beginning."""
    path = trained('seg') / LAST['seg']
    options = [*short_options('seg'), 'train_cfg.max_iters=1', 'optim_wrapper.optimizer.lr=0.']
    options += ['optim_wrapper.optimizer.weight_decay=0.', f'load_from={path}']
    train([small_config('seg'), '--mini', '--work-dir', str(tmp_path), '--cfg-options', *options])
    before, after = (
        torch.load(file, map_location='cpu', weights_only=False) for file in (path, tmp_path / 'iter_1.pth')
    )
    assert after['meta']['iter'] == 1
    for name, value in before['state_dict'].items():
        if 'running' not in name and 'num_batches' not in name:
            assert torch.equal(value, after['state_dict'][name]), name


def test_auto_scale_lr(in_mini_root: Path, tmp_path: Path) -> None:
    train(
        [
            *(small_config('seg'), '--mini', '--auto-scale-lr', '--work-dir', str(tmp_path)),
            *('--cfg-options', *short_options('seg'), 'train_cfg.max_iters=1'),
            *('auto_scale_lr.base_batch_size=4', 'param_scheduler=None'),
            'optim_wrapper.optimizer.lr=0.25',
        ]
    )
    checkpoint = torch.load(tmp_path / 'iter_1.pth', map_location='cpu', weights_only=False)
    assert {group['lr'] for group in checkpoint['optimizer']['param_groups']} == {0.125}


def test_optional_values_do_not_swallow_the_config() -> None:
    assert parse_train(['--amp', 'a.py']).config == 'a.py'
    assert parse_train(['--amp', 'a.py']).amp == 'fp16'
    assert parse_train(['--amp', 'bf16', 'a.py']).amp == 'bf16'
    assert parse_train(['a.py', '--amp']).amp == 'fp16'
    assert parse_train(['a.py']).amp is None
    assert parse_train(['a.py', '--resume']).resume == 'auto'
    assert parse_train(['a.py', '--resume', 'b.pth']).resume == 'b.pth'
    assert parse_train(['a.py']).resume is None
