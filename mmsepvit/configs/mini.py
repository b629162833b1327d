"""``--mini``: any config on small generated data, in minutes on two CPU cores.

Only what costs time changes: where the data is, the sizes that images are brought to, the number of
regions that a second stage trains on, batch, rate and length of the schedule. The model, the losses,
the steps of the pipelines and the evaluator stay as the config has them, so what runs is what would
run on the real data.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import OPTIMIZERS
from torch import optim

from ..config_tree import as_list, builds, datasets_of, limit_regions
from ..datasets.mini import ensure_mini_data
from ..errors import UserError
from .mini_datasets import MINI_ROOT, read_mini_data
from .mini_weights import leave_out_missing_weights

# Arguments of transforms and of data preprocessors that are sizes in pixels.
_SIZES = ('scale', 'scales', 'crop_size', 'size')
# The power that factors on an image's size are raised to: half as many octaves. A short training sees each size too
# seldom, and what an image lacks of a crop is padding, which costs as much as the rest and teaches nothing.
_RATIOS = 0.5
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


# Crops of 84 pixels give stage 1 maps of 21, three windows: 64 would be padded to the same work.
SETTINGS = {
    'mmseg': MiniSettings(shrink=512 / 84, batch_size=4, lr=6e-4, length=300, warmup=30, val_interval=100),
    'mmdet': MiniSettings(shrink=5, batch_size=2, lr=3e-4, length=6, warmup=30, val_interval=2),
    'mmpretrain': MiniSettings(shrink=4, batch_size=16, lr=1e-4, length=24, warmup=40, val_interval=4),
}


def apply_mini(config: Config) -> list[str]:
    """Turns a config into its small self; writes nothing.

    Args:
        config: The config, changed in place. It may be applied once only.

    Returns:
        Notes for the log.

    Raises:
        UserError: The config has a dataset that no mini data can be made for.
    """
    if config.default_scope not in SETTINGS:
        raise UserError(f'--mini: there is no mini data for {config.default_scope}, only for {", ".join(SETTINGS)}.')
    settings = SETTINGS[config.default_scope]
    before = _loaders(deepcopy(config._cfg_dict))
    read_mini_data(config)
    _shrink_images(config, _shrink(config, settings))
    for loader in _loaders(config):
        loader.num_workers = 0  # two cores: workers would take them from the training
        loader.persistent_workers = False
        loader.pin_memory = False
        loader.pop('prefetch_factor', None)
        loader.batch_size = min(loader.get('batch_size', 1), settings.batch_size)
    if config.get('train_dataloader'):
        config.train_dataloader.batch_size = settings.batch_size
    _change_variables(config, before)
    limit_regions(config.model, _REGIONS)
    _shorten_schedule(config, settings)
    notes = [f'--mini: generated data in {MINI_ROOT}, small images, a short schedule']
    return notes + leave_out_missing_weights(config)


def make_mini_data(root: str | Path = MINI_ROOT) -> Path:
    """Writes the mini data if it is not there; several processes may ask at once."""
    return ensure_mini_data(root)


def _loaders(config: Any) -> list[Any]:
    return [loader for loader in (config.get(f'{split}_dataloader') for split in ('train', 'val', 'test')) if loader]


def _change_variables(config: Config, before: list[dict]) -> None:
    """Changes variables at the top of a config, such as ``train_pipeline``, with the dataloader that has their value.

    Nothing is built from them, but the file that a work directory keeps would not be at one with itself.
    """
    pairs = [
        (old[1].get(key), new[1].get(key))
        for loader, now in zip(before, _loaders(config))
        for old, new in zip(datasets_of(loader['dataset'], wrappers=True), datasets_of(now['dataset'], wrappers=True))
        for key in ('pipeline', 'data_root')
    ]
    for name, value in list(config.items()):
        changed = next((new for old, new in pairs if old and old == value), None)
        if changed is not None:
            config[name] = deepcopy(changed)


def _walk(node: Any, change: Callable[[Any, str], Any], key: str = '') -> Any:
    """Rebuilds nested dicts and lists with ``change(leaf, key)`` in place of every leaf."""
    if isinstance(node, dict):
        for name in list(node):
            node[name] = _walk(node[name], change, name)
        return node
    if isinstance(node, (list, tuple)):
        return type(node)(_walk(item, change, key) for item in node)
    return change(node, key)


def _shrink(config: Config, settings: MiniSettings) -> float:
    """What sizes are divided by: less where a detector picks many queries from its maps, which must hold as many.

    Maps of strides 8 to 64 of a square of 7 * sqrt(q) pixels hold more than q; the packages' shortest side is 480.
    """
    queries = config.model.get('num_queries', 0)
    return min(settings.shrink, 480 / (7 * queries**0.5)) if queries else settings.shrink


def _shrink_images(config: Config, factor: float) -> None:
    def shrink(leaf: Any, key: str) -> Any:
        if key == 'ratio_range' and leaf:
            return leaf**_RATIOS
        is_size = key in _SIZES and isinstance(leaf, int) and not isinstance(leaf, bool)
        return max(1, round(leaf / factor)) if is_size else leaf

    pipelines = [
        dataset['pipeline']
        for loader in _loaders(config)
        for _, dataset in datasets_of(loader['dataset'], wrappers=True)
        if 'pipeline' in dataset
    ]
    # `val_dataloader = test_dataloader` may be one object or two.
    for pipeline in {id(pipeline): pipeline for pipeline in pipelines}.values():
        _walk(pipeline, shrink)
    _walk(config.get('tta_pipeline') or [], shrink)
    preprocessors = [config.get('data_preprocessor'), config.model.get('data_preprocessor')]
    for preprocessor in preprocessors:
        if preprocessor and 'size' in preprocessor:
            preprocessor['size'] = _walk(preprocessor['size'], shrink, 'size')
    if 'crop_size' in config:  # mmseg's own configs name the size of their crops at the top, too
        config.crop_size = _walk(config.crop_size, shrink, 'crop_size')


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
    if builds(optimizer, (optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam), config.default_scope, OPTIMIZERS):
        optimizer.lr = settings.lr
    elif optimizer and base_batch_size:  # another kind of rate altogether: scaled with the batch, as is usual
        optimizer.lr *= settings.batch_size / base_batch_size
    if base_batch_size:
        config.auto_scale_lr.base_batch_size = settings.batch_size
    hooks = config.get('default_hooks') or ConfigDict()
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
