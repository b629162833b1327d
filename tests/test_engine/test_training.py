"""Training, testing, pictures, dumps and test-time augmentation of the three tasks."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend
from PIL import Image
from small_runs import LAST, TASKS, short_options, small_config

from mmsepvit.cli.command import run_command
from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train
from mmsepvit.cli.train import parse as parse_train
from mmsepvit.config_tree import as_list
from mmsepvit.configs.load import load_config
from mmsepvit.engine.checkpointing import checkpoint_activations, prefer_with_cp
from mmsepvit.engine.randomness import seed_everything
from mmsepvit.engine.runner import build_runner
from mmsepvit.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
METRIC = {'seg': 'mIoU', 'det': 'coco/segm_mAP_50', 'cls': 'accuracy/top1'}


@VISBACKENDS.register_module(force=True)
class Elsewhere(BaseVisBackend):
    """Keeps nothing in files."""

    experiment = None

    def _init_env(self) -> None: ...


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


def test_a_pure_python_config(in_mini_root: Path, tmp_path: Path) -> None:
    """It names classes, is changed by options and --mini, and is written beside the weights."""
    text = load_config(small_config('seg')).pretty_text
    names = {
        'AdamW': 'torch.optim',
        'FPNHead': 'mmseg.models',
        'LoadAnnotations': 'mmseg.datasets.transforms',
        'IterBasedTrainLoop': 'mmengine.runner',
        'CheckpointHook': 'mmengine.hooks',
        'SegTTAModel': 'mmseg.models',
    }
    for name in names:
        assert f"type='{name}'" in text
        text = text.replace(f"type='{name}'", f'type={name}')
    config = tmp_path / 'pure.py'
    config.write_text(''.join(f'from {module} import {name}\n' for name, module in names.items()) + text)
    work_dir, options = tmp_path / 'work', [*short_options('seg'), 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    train([str(config), '--mini', '--work-dir', str(work_dir), '--cfg-options', *options])
    written = load_config(str(work_dir / 'pure.py'))
    assert written.model.decode_head.type == 'mmseg.models.decode_heads.fpn_head.FPNHead'
    arguments = [str(config), str(work_dir / 'iter_1.pth'), '--mini', '--tta', '--work-dir', str(tmp_path / 'test')]
    assert METRIC['seg'] in run_test([*arguments, '--cfg-options', *short_options('seg', training=False)])


@pytest.mark.parametrize(
    ('option', 'why'),
    [
        ('model.data_preprocessor.size=None', 'AssertionError: only one of size'),
        ('model.data_preprocessor.size=abc', 'TypeError'),
        ('train_dataloader.dataset.pipeline=[]', "KeyError: 'inputs'"),
    ],
)
def test_what_a_batch_shows_of_the_config(
    option: str, why: str, in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = [*short_options('seg'), option]
    assert (
        run_command(train, [small_config('seg'), '--mini', '--work-dir', str(tmp_path), '--cfg-options', *options]) == 2
    )
    message = capsys.readouterr().err.strip().splitlines()
    assert message[-2].startswith('error: SegDataPreProcessor cannot take a batch')
    assert why in message[-2]


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
    # As with TensorBoard alone, no backend writes pictures.
    config = tmp_path / f'elsewhere_{task}.py'
    config.write_text(f"_base_ = {small_config(task)!r}\nvisualizer = dict(vis_backends=[dict(type='Elsewhere')])\n")
    metrics = run_test(
        [
            *(str(config), checkpoint, '--mini', '--work-dir', str(tmp_path / 'work')),
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
    of_the_training = tmp_path / f'{task}.py'
    of_the_training.write_text('# init_model reads this')
    metrics = run_test(
        [
            *(small_config(task), checkpoint, '--mini', '--tta', '--work-dir', str(tmp_path)),
            *('--show-dir', str(tmp_path / 'pictures')),
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
    assert len([path for path in (tmp_path / 'pictures').rglob('*') if path.suffix in ('.png', '.jpg')]) == 2
    assert of_the_training.read_text() == '# init_model reads this'


@pytest.mark.parametrize('task', TASKS)
def test_tta_of_a_config_without_it(
    task: str, in_mini_root: Path, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    """Of two data sets behind each other, too."""
    config = load_config(small_config(task))
    config.pop('tta_model')
    config.tta_pipeline = None  # as --cfg-options leaves it
    if task == 'seg':
        config.test_dataloader.dataset = {'type': 'ConcatDataset', 'datasets': [config.test_dataloader.dataset] * 2}
    # mmengine knows a run by its config's name and the second: two tasks must not share both in one process.
    plain = tmp_path / f'plain_{task}.py'
    config.dump(plain)
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


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / LAST['seg'], map_location='cpu', weights_only=False)['state_dict']


def test_a_run_is_repeated_by_the_seed_in_its_log(in_mini_root: Path, tmp_path: Path) -> None:
    def run(name: str, *arguments: str) -> Path:
        folder = tmp_path / name
        options = [*short_options('seg'), 'randomness.seed=None', 'val_cfg=None', 'val_dataloader=None']
        options += ['val_evaluator=None']
        train([small_config('seg'), '--mini', '--work-dir', str(folder), *arguments, '--cfg-options', *options])
        return folder

    first = run('first')
    seed = re.search(r'--seed (\d+)', next(first.glob('*/*.log')).read_text())[1]
    assert int(seed) > 0  # drawn from 2**31
    again = weights(run('again', '--seed', seed))
    assert all(torch.equal(value, again[name]) for name, value in weights(first).items())


@pytest.mark.parametrize(
    ('paths', 'others'),
    [
        ('backbone', []),
        (['decode_head', 'backbone'], ['decode_head']),
        ('backbone.stages.0', ['backbone.stages.0']),
        (['neck', 'decode_head'], ['neck', 'decode_head']),
    ],
)
def test_activation_checkpointing_trains_the_same(
    in_mini_root: Path, tmp_path: Path, paths: Any, others: list[str]
) -> None:
    """mmengine's own would leave the modules that see the images as they were, without a word."""
    grads = []
    for option in (None, paths):
        config = load_config(small_config('seg'))
        config.update(work_dir=str(tmp_path), activation_checkpointing=option, visualizer=None)
        notes = prefer_with_cp(config)
        assert len(notes) == (option is not None and 'backbone' in as_list(paths))
        assert config.model.backbone.get('with_cp', False) == bool(notes)
        if option is not None:
            assert as_list(config.activation_checkpointing) == others
        runner = build_runner(config)
        checkpoint_activations(runner)
        assert not runner.cfg.activation_checkpointing  # mmengine would do it again
        model = runner.model.train()
        seed_everything(0)
        features = model.backbone(torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64))
        model.decode_head(model.neck(features)).sum().backward()
        grads.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert all(grad is not None and torch.equal(grad, grads[1][name]) for name, grad in grads[0].items())


@pytest.mark.parametrize('path', ['bakbone', 'backbone.stages'])
def test_activation_checkpointing_of_nothing_is_refused(in_mini_root: Path, tmp_path: Path, path: str) -> None:
    config = load_config(small_config('seg'))
    config.update(work_dir=str(tmp_path), activation_checkpointing=[path])
    with pytest.raises(UserError, match=path):
        checkpoint_activations(build_runner(config))


def test_optional_values_do_not_swallow_the_config() -> None:
    assert parse_train(['--amp', 'a.py']).config == 'a.py'
    assert parse_train(['--amp', 'a.py']).amp == 'fp16'
    assert parse_train(['--amp', 'bf16', 'a.py']).amp == 'bf16'
    assert parse_train(['a.py', '--amp']).amp == 'fp16'
    assert parse_train(['a.py']).amp is None
    assert parse_train(['a.py', '--resume']).resume == 'auto'
    assert parse_train(['a.py', '--resume', 'b.pth']).resume == 'b.pth'
    assert parse_train(['a.py']).resume is None
