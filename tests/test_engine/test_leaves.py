"""Every config file trains and validates, on the mini data, as it stands; in the slow run it is tested, too.

Only batch and number of iterations are cut down further than ``--mini`` does. The default run has those whose kind no
other test trains; ``make test PYTEST_ARGS="-m slow"`` has all.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train
from mmsepvit.configs.load import load_config

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))
DEFAULT = (
    'upernet_sepvit_t_ade20k',
    'retinanet_sepvit_t_3x_coco',
    'sepvit_lite_imagenet',
    'distill_sepvit_lite_swin_imagenet',
)


def marked(file: Path) -> object:
    return pytest.param(file, id=file.stem, marks=[] if file.stem in DEFAULT else pytest.mark.slow)


@pytest.mark.parametrize('file', [marked(file) for file in CONFIGS])
def test_leaf(file: Path, in_mini_root: Path, tmp_path: Path) -> None:
    config = load_config(str(file))
    validates = 'val_dataloader' in config  # distillation predicts nothing
    tests = ['val_dataloader.num_batch_per_epoch=1', 'test_dataloader.num_batch_per_epoch=1'] if validates else []
    options = [
        'train_dataloader.batch_size=2',
        *tests,
        'default_hooks.logger.interval=1',
        # Adam's two averages are two thirds of a file that is written and read back.
        'default_hooks.checkpoint.save_optimizer=False',
    ]
    if 'max_iters' in config.train_cfg:
        options += ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']
        options += ['default_hooks.checkpoint.interval=2']
    else:
        options += ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
        options += ['train_dataloader.num_batch_per_epoch=2', 'default_hooks.checkpoint.interval=1']
    train([str(file), '--mini', '--work-dir', str(tmp_path / 'train'), '--cfg-options', *options])

    (scalars,) = (tmp_path / 'train').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 2
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
    # mmdet logs no metric where nothing is found, but a validation without one is logged too.
    assert not validates or len(lines) > len(losses)

    if file.stem in DEFAULT or not validates:  # the tests of this file's folder test each task
        return
    checkpoint = (tmp_path / 'train' / 'last_checkpoint').read_text()
    run_test(
        [
            *(str(file), checkpoint, '--mini', '--work-dir', str(tmp_path / 'test')),
            *('--cfg-options', *options[:4]),
        ]
    )
