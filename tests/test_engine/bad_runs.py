"""Short trainings on spoilt data: how each ends, and whether it says with which file."""

from __future__ import annotations

import gc
import logging
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from planted import folder_of
from small_runs import small_config

TASKS = {'ade': 'seg', 'coco': 'det', 'imagenet': 'cls'}


def mini_config_file(data_set: str, folder: Path) -> Path:
    """Writes a small config that reads ``data/mini`` of the current folder; three short batches, then a validation."""
    from mmsepvit.configs.load import apply_options
    from mmsepvit.configs.mini import apply_mini

    config = Config.fromfile(small_config(TASKS[data_set]))
    apply_mini(config)
    length = {'train_cfg.max_iters': 4} if data_set == 'ade' else {'train_cfg.max_epochs': 1}
    apply_options(
        config,
        {
            **length,
            'train_cfg.val_interval': 4 if data_set == 'ade' else 1,
            'train_dataloader.batch_size': 2,
            'val_dataloader.batch_size': 1,
            'default_hooks.logger.interval': 1,
            'default_hooks.checkpoint.interval': 2 if data_set == 'ade' else 1,
        },
    )
    path = folder / f'{data_set}.py'
    config.dump(path)
    return path


def train(config: Path, work_dir: Path, *options: str) -> str | None:
    """Trains as ``tools/train.py`` does; returns the type and message of what ended it, None if nothing did.

    Whatever ends it without being meant for the user is returned too: the table is about that.
    """
    from mmsepvit.cli.train import main

    try:
        main([str(config), '--work-dir', str(work_dir), *options])
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    finally:
        logging.disable(logging.NOTSET)
        gc.collect(0)
    return None


def spoilt_copy(clean: Path, folder: Path, plant: object, split: str) -> str:
    """Copies the clean mini data to ``data/mini`` of a folder and spoils it; returns what a message has to name."""
    mini = Path(shutil.copytree(clean, folder / 'data' / 'mini'))
    return plant(folder_of(mini, plant.__name__.split('_')[0]), split)


def write_clean(folder: Path) -> Path:
    """Writes a mini data set of few images."""
    pytest.importorskip('mmseg')
    from mmsepvit.datasets.mini import Counts, write_mini_data

    return write_mini_data(folder / 'mini', counts=Counts(train=6, val=2, class_train=2, class_val=1))
