"""Several processes: how the error of one is told, what is measured on unequal shares, ZeRO, and strategies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from forked_runs import ForkedRun, free_port
from long_runs import ROOT, arguments, assert_same_run, load, with_hooks
from small_runs import small_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='two processes would need two GPUs'),
]


def two(words: list[str], folder: Path, log: Path) -> ForkedRun:
    return ForkedRun(words, folder, log, processes=2, port=free_port())


def test_error_of_one_is_said_by_it_alone(mini_root: Path, tmp_path: Path) -> None:
    """The other one has lost it; torchrun would end it before it says so."""
    log = tmp_path / 'log.txt'
    config = with_hooks(tmp_path, 'seg', {'type': 'RaiseAt', 'iteration': 1, 'rank': 1})
    run = two(arguments(config, tmp_path / 'work', 'seg', []), mini_root, log)
    run.processes[1].join()
    run.processes[0].join(5)
    assert [process.exitcode for process in run.processes] == [None, 2]
    run.kill()
    text = log.read_text()
    assert text.count('error: image x cannot be read') == 1
    assert 'Traceback' not in text
    assert 'gloo/' not in text
    assert 'this batch ended the run' not in text


def test_silence_of_one_is_said(mini_root: Path, tmp_path: Path) -> None:
    log = tmp_path / 'log.txt'
    config = with_hooks(tmp_path, 'seg', {'type': 'SignalAt', 'iteration': 1, 'rank': 1, 'name': 'SIGSTOP'})
    run = two(arguments(config, tmp_path / 'work', 'seg', ['env_cfg.dist_cfg.timeout=5']), mini_root, log)
    run.processes[0].join()
    assert run.processes[0].exitcode == 2
    run.kill()
    text = log.read_text()
    assert text.count('error: process 0 has lost another process, or waited too long for it') == 1
    assert 'Traceback' not in text


SHORT = ['train_cfg.max_iters=4', 'train_cfg.val_interval=4', 'default_hooks.checkpoint.interval=2']


def train(work_dir: Path, folder: Path, *more: str, options: list[str], config: str = '', processes: int = 2) -> None:
    words = arguments(config or small_config('seg'), work_dir, 'seg', [*SHORT, *options], *more)
    words = [word for word in words if 'num_batch_per_epoch' not in word]  # FlexibleRunner knows no such setting
    log = work_dir.with_suffix('.txt')
    assert ForkedRun(words, folder, log, processes, free_port()).wait() == [0] * processes, log.read_text()[-3000:]


def test_sharded_optimizer(mini_root: Path, tmp_path: Path) -> None:
    """ZeRO on gloo: the same weights as without, and a whole state in the checkpoint, from which it goes on."""
    zero = ['optim_wrapper.optimizer.type=ZeroRedundancyOptimizer', 'optim_wrapper.optimizer.optimizer_type=AdamW']
    train(tmp_path / 'plain', mini_root, options=[])
    train(tmp_path / 'zero', mini_root, options=zero)
    plain, sharded = (load(tmp_path / name / 'iter_4.pth') for name in ('plain', 'zero'))
    for name, value in plain['state_dict'].items():
        torch.testing.assert_close(value, sharded['state_dict'][name])
    assert plain['optimizer']['state'].keys() == sharded['optimizer']['state'].keys()
    train(tmp_path / 'resumed', mini_root, '--resume', str(tmp_path / 'zero' / 'iter_2.pth'), options=zero)
    # What the second process measures goes by its own BN statistics, and a checkpoint has the first one's.
    assert_same_run(tmp_path / 'zero' / 'iter_4.pth', tmp_path / 'resumed' / 'iter_4.pth', score=False)


@pytest.mark.parametrize('strategy', ['SingleDeviceStrategy', 'DDPStrategy'])
def test_strategies(strategy: str, mini_root: Path, tmp_path: Path) -> None:
    """mmengine's FlexibleRunner trains on the same draws as its Runner, and resumes: the weights are the same."""
    processes = 2 if strategy == 'DDPStrategy' else 1
    config = tmp_path / 'strategy.py'
    config.write_text(f'_base_ = {small_config("seg")!r}\nstrategy = dict(type={strategy!r})\n')
    train(tmp_path / 'start', mini_root, options=[], processes=processes)
    start = [f'load_from={tmp_path / "start" / "iter_4.pth"}']  # it builds the model later, from other random numbers
    train(tmp_path / 'plain', mini_root, options=start, processes=processes)
    flexible = {'config': str(config), 'processes': processes}
    train(tmp_path / 'flexible', mini_root, options=start, **flexible)
    train(
        tmp_path / 'resumed', mini_root, '--resume', str(tmp_path / 'flexible' / 'iter_2.pth'), options=[], **flexible
    )
    expected, *found = (load(tmp_path / name / 'iter_4.pth')['state_dict'] for name in ('plain', 'flexible', 'resumed'))
    for each in found:
        each = {name.removeprefix('module.'): value for name, value in each.items()}  # DDPStrategy saves the wrapper's
        for name, value in expected.items():
            torch.testing.assert_close(value, each[name])


@pytest.mark.parametrize(('images', 'batch'), [(7, 1), (7, 2), (3, 2)])
def test_detection_metrics_on_uneven_shares_are_those_of_one_process(
    images: int, batch: int, mini_root: Path, tmp_path: Path
) -> None:
    config = tmp_path / 'oracle.py'
    config.write_text(
        f"_base_ = {small_config('det')!r}\ncustom_imports = dict(imports=['oracle'])\n"
        "model = dict(_delete_=True, type='Oracle')\ntest_evaluator = dict(metric='bbox')\n"
    )
    torch.save({'state_dict': {'weight': torch.zeros(1)}}, tmp_path / 'oracle.pth')
    found = []
    for processes in (1, 2):
        work_dir, log = tmp_path / str(processes), tmp_path / f'{processes}.txt'
        options = [f'test_dataloader.dataset.indices={images}', f'test_dataloader.batch_size={batch}']
        words = [str(config), str(tmp_path / 'oracle.pth'), '--mini', '--work-dir', str(work_dir)]
        run = ForkedRun([*words, '--cfg-options', *options], mini_root, log, processes, free_port(), 'test')
        assert run.wait() == [0] * processes, log.read_text()[-3000:]
        [scalars] = work_dir.glob('*/*.json')
        found.append({key: value for key, value in json.loads(scalars.read_text()).items() if 'mAP' in key})
    assert 0.05 < found[0]['coco/bbox_mAP_50'] < 0.99
    assert found[0] == found[1]


RETINANET = """
_base_ = '{base}'
model = dict(
    backbone=dict(
        drop_path_rate=0.0,
        arch=dict(
            _delete_=True,
            depths=(1, 1, 1, 1),
            channels=(8, 16, 16, 16),
            num_heads=(1, 1, 1, 1),
            window_sizes=((7,), (7,), (7,), (7,)),
        ),
    ),
    neck=dict(in_channels=[8, 16, 16, 16], out_channels=8),
    bbox_head=dict(in_channels=8, feat_channels=8),
)
train_dataloader = dict(
    batch_sampler=None,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        indices={indices},
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(256, 192), keep_ratio=False),
            dict(type='PackDetInputs'),
        ],
    ),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1), clip_grad=None)
param_scheduler = []
"""


@pytest.mark.parametrize('same', [True, False])
def test_retinanet_on_two_processes_is_that_on_one_where_each_sees_as_many_objects(
    same: bool, mini_root: Path, tmp_path: Path
) -> None:
    """The same image in each: equal. Two images: not, as mmdet divides by the positive anchors of a process."""
    config = tmp_path / 'retinanet.py'
    indices = [4, 4] if same else [4, 6]
    config.write_text(RETINANET.format(base=ROOT / 'configs' / 'retinanet_sepvit_t_1x_coco.py', indices=indices))
    weights = []
    for processes in (1, 2):
        work_dir = tmp_path / str(processes)
        options = [f'train_dataloader.batch_size={2 // processes}', 'train_dataloader.num_batch_per_epoch=1']
        words = arguments(str(config), work_dir, 'det', [*options, 'train_cfg.val_interval=9'])
        log = tmp_path / f'{processes}.txt'
        run = ForkedRun(words, mini_root, log, processes, free_port())
        assert run.wait() == [0] * processes, log.read_text()[-3000:]
        weights.append(load(work_dir / 'epoch_1.pth')['state_dict'])
    largest = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    print(f'RetinaNet, {"the same image" if same else "two images"}: weights differ by {largest:.1g} at most')
    assert largest < 1e-6 if same else largest > 1e-4
