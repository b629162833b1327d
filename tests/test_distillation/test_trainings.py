"""Distillation as a training like every other: two processes, a moving average, bf16, going on from a checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # two trainings of two processes, each with a teacher
def test_two_processes_go_on(mini_root: Path, tmp_path: Path) -> None:
    pytest.importorskip('mmpretrain')

    config, work_dir = tmp_path / 'distill.py', tmp_path / 'run'
    base = ROOT / 'configs' / 'distill_sepvit_lite_swin_imagenet.py'
    config.write_text(f"_base_ = '{base}'\ncustom_hooks = [dict(type='EMAHook')]\n")

    def train(epochs: int, *options: str) -> dict:
        short = ['train_dataloader.batch_size=2', 'train_dataloader.num_batch_per_epoch=2']
        short += [f'train_cfg.max_epochs={epochs}', 'default_hooks.checkpoint.interval=1']
        command = ['bash', ROOT / 'tools' / 'dist_train.sh', config, '2', '--mini', '--amp', 'bf16', *options]
        command += ['--work-dir', work_dir, '--cfg-options', *short]
        done = subprocess.run(
            list(map(str, command)),
            cwd=mini_root,
            env={**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return torch.load(work_dir / f'epoch_{epochs}.pth', map_location='cpu', weights_only=False)

    first = train(1)
    assert {name.split('.')[0] for name in first['state_dict']} <= {'backbone', 'neck', 'data_preprocessor'}
    assert any(name.startswith('module.backbone.') for name in first['ema_state_dict'])
    second = train(2, '--resume')
    assert (first['meta']['iter'], second['meta']['iter']) == (2, 4)
    name = 'backbone.stages.3.blocks.1.mlp.fc2.weight'
    assert not torch.equal(first['state_dict'][name], second['state_dict'][name])
    assert 'module.' + name in second['ema_state_dict']
