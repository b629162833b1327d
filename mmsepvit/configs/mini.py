"""``--mini``: any config of this repository on small generated data, in minutes on two CPU cores.

Only what costs time changes: where the data is, the sizes that images are brought to, the number of
regions that a second stage trains on, batch, rate and length of the schedule. The model, the losses,
the steps of the pipelines and the evaluator stay as the config has them, so what runs is what would
run on the real data.
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config_tree import as_list, limit_regions
from ..datasets.mini import ensure_mini_data
from .mini_weights import leave_out_missing_weights

MINI_ROOT = 'data/mini'

_DATA = 'data/'
# Arguments of transforms and of data preprocessors that are sizes in pixels.
_SIZES = ('scale', 'scales', 'crop_size', 'size')
# Of an image that a second stage trains on: one of a 25th of the area does not need 512, whose masks alone would take
# most of the time.
_REGIONS = 64


@dataclass(frozen=True)
class MiniSettings:
    """What ``--mini`` sets for the configs of one package.

    Attributes:
        shrink: What image and crop sizes are divided by.
        batch_size: Images a training batch.
        lr: Rate of an Adam: small data from scratch wants another one than long trainings.
        length: Iterations or epochs, in the unit of the config's training loop.
        warmup: Iterations of warmup, where the config warms up over iterations.
        val_interval: Iterations or epochs between validations and checkpoints.
    """

    shrink: float
    batch_size: int
    lr: float
    length: int
    warmup: int
    val_interval: int


SETTINGS = {
    'mmseg': MiniSettings(shrink=8, batch_size=8, lr=5e-4, length=140, warmup=10, val_interval=35),
    'mmdet': MiniSettings(shrink=5, batch_size=2, lr=3e-4, length=16, warmup=30, val_interval=4),
    'mmpretrain': MiniSettings(shrink=4, batch_size=16, lr=1e-4, length=24, warmup=40, val_interval=4),
}


def apply_mini(config: Config) -> list[str]:
    """Turns a config into its small self; writes nothing.

    Args:
        config: The config, changed in place. It may be applied once only.

    Returns:
        Notes for the log.
    """
    settings = SETTINGS[config.default_scope]
    _move_data(config._cfg_dict)
    _shrink_images(config, _shrink(config, settings))
    limit_regions(config.model, _REGIONS)
    _shorten_schedule(config, settings)
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if loader:
            loader.num_workers = 0  # two cores: workers would take them from the training
            loader.persistent_workers = False
            loader.pin_memory = False
            loader.pop('prefetch_factor', None)
            if split == 'train':
                loader.batch_size = settings.batch_size
            else:
                loader.batch_size = min(loader.batch_size, settings.batch_size)
    notes = [f'--mini: generated data in {MINI_ROOT}, small images, a short schedule']
    return notes + leave_out_missing_weights(config)


def make_mini_data(root: str | Path = MINI_ROOT) -> Path:
    """Writes the mini data if it is not there; several processes may ask at once."""
    name = hashlib.sha256(str(Path(root).absolute()).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f'mmsepvit-mini-{name}.lock'
    with lock.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return ensure_mini_data(root)


def _walk(node: Any, change: Callable[[Any, str], Any], key: str = '') -> Any:
    """Rebuilds nested dicts and lists with ``change(leaf, key)`` in place of every leaf."""
    if isinstance(node, dict):
        for name in list(node):
            node[name] = _walk(node[name], change, name)
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(_walk(item, change, key) for item in node)
    return change(node, key)


def _move_data(node: dict) -> None:
    def move(leaf: Any, key: str) -> Any:
        return leaf.replace(_DATA, f'{MINI_ROOT}/', 1) if str(leaf).startswith(_DATA) else leaf

    _walk(node, move)


def _shrink(config: Config, settings: MiniSettings) -> float:
    """What sizes are divided by: less where a detector picks many queries from its maps, which must hold as many.

    Maps of strides 8 to 64 of a square of 7 * sqrt(q) pixels hold more than q; the packages' shortest side is 480.
    """
    queries = config.model.get('num_queries', 0)
    return min(settings.shrink, 480 / (7 * queries**0.5)) if queries else settings.shrink


def _shrink_images(config: Config, factor: float) -> None:
    def shrink(leaf: Any, key: str) -> Any:
        is_size = key in _SIZES and isinstance(leaf, int) and not isinstance(leaf, bool)
        return max(1, round(leaf / factor)) if is_size else leaf

    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for dataset in _pipelines(config.get(loader)):
            _walk(dataset, shrink)
    # The same lists may stand at the top too, for a leaf to reuse; only this one is read from there.
    _walk(config.get('tta_pipeline') or [], shrink)
    preprocessors = [config.get('data_preprocessor'), config.model.get('data_preprocessor')]
    for preprocessor in preprocessors:
        if preprocessor and 'size' in preprocessor:
            preprocessor['size'] = _walk(preprocessor['size'], shrink, 'size')


def _pipelines(node: Any) -> list[list]:
    """The pipelines of a dataloader's datasets, through any wrappers."""
    if isinstance(node, (list, tuple)):
        return [pipeline for item in node for pipeline in _pipelines(item)]
    if not isinstance(node, dict):
        return []
    found = [node['pipeline']] if 'pipeline' in node else []
    return found + _pipelines(node.get('dataset')) + _pipelines(node.get('datasets'))


def _shorten_schedule(config: Config, settings: MiniSettings) -> None:
    loop = config.get('train_cfg')
    if not loop:
        return
    unit = 'max_iters' if 'max_iters' in loop else 'max_epochs'
    full_length = loop[unit]
    loop[unit] = settings.length
    loop.val_interval = settings.val_interval
    loop.pop('dynamic_intervals', None)

    # A LinearLR of one iteration never leaves its start factor.
    at_least = settings.warmup if unit == 'max_iters' else 1
    for scheduler in as_list(config.get('param_scheduler')):
        counts_loop_unit = scheduler.get('by_epoch', True) == (unit == 'max_epochs')
        for key in ('begin', 'end', 'T_max', 'milestones', 'step_size'):
            if key in scheduler:
                scheduler[key] = (
                    _shorten(scheduler[key], settings.length, full_length, at_least)
                    if counts_loop_unit
                    else _at_most(scheduler[key], settings.warmup)
                )

    optimizer = config.optim_wrapper.get('optimizer')
    base_batch_size = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    if optimizer and 'Adam' in str(optimizer.type):
        optimizer.lr = settings.lr
    elif optimizer and base_batch_size:  # another kind of rate altogether: scaled with the batch, as is usual
        optimizer.lr *= settings.batch_size / base_batch_size
    if base_batch_size:
        config.auto_scale_lr.base_batch_size = settings.batch_size
    hooks = config.get('default_hooks') or {}
    if hooks.get('checkpoint'):
        hooks.checkpoint.interval = settings.val_interval
    if hooks.get('logger'):
        hooks.logger.interval = 10
    if config.get('log_processor'):
        config.log_processor.window_size = 10


def _shorten(value: Any, length: int, full_length: int, at_least: int) -> Any:
    """The same part of a shorter training; rounded down, so that no milestone falls on its end."""
    if isinstance(value, (list, tuple)):
        return type(value)(_shorten(item, length, full_length, at_least) for item in value)
    return max(at_least, value * length // full_length) if value else value


def _at_most(value: Any, most: int) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_at_most(item, most) for item in value)
    return min(value, most)
