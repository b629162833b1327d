"""What the keys of a run may hold, asked before anything is read or built.

The classes that a config names say by themselves which arguments they take. The keys here are read by no such class but
by mmengine's runner, which fails on a wrong value with a traceback, late, or not at all.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

from mmengine.config import Config
from mmengine.registry import FUNCTIONS

from ..config_tree import as_list, datasets_of
from ..errors import UserError

SPLITS = ('train', 'val', 'test')

_GROUPS = (
    *('model', 'data_preprocessor', 'optim_wrapper', 'visualizer', 'log_processor', 'auto_scale_lr', 'strategy'),
    *(f'{split}_{part}' for split in SPLITS for part in ('dataloader', 'cfg')),
    *('default_hooks', 'randomness', 'env_cfg.dist_cfg'),
)
_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')
_SEEDS = 2**32 - 1

# Dotted key -> the smallest number that it may hold.
_NUMBERS = {
    **{f'{split}_dataloader.batch_size': 1 for split in SPLITS},
    **{f'{split}_dataloader.num_workers': 0 for split in SPLITS},
    **{f'train_cfg.{key}': 1 for key in ('max_iters', 'max_epochs', 'val_interval')},
    'default_hooks.checkpoint.interval': -1,
    'default_hooks.logger.interval': 1,
    'skip_bad': 0,
}

_OTHERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    'env_cfg': (lambda value: isinstance(value, Mapping), 'a group of settings'),
    'env_cfg.mp_cfg': (lambda value: isinstance(value, Mapping), 'a group of settings'),
    'param_scheduler': (
        lambda value: isinstance(value, Mapping) or all(isinstance(each, Mapping) for each in as_list(value)),
        'a group of settings or a list of them',
    ),
    'custom_hooks': (
        lambda value: (
            value is None or (isinstance(value, (list, tuple)) and not any(isinstance(v, str) for v in value))
        ),
        'a list of groups of settings',
    ),
    'resume': (lambda value: value in (None, True, False), 'True or False; name a file with --resume FILE'),
    'load_from': (lambda value: value is None or isinstance(value, str), 'the name of a checkpoint'),
    'compile': (lambda value: isinstance(value, (bool, Mapping, type(None))), 'True, False or a group of settings'),
    'activation_checkpointing': (
        lambda value: all(isinstance(path, str) for path in as_list(value)),
        'a list of dotted paths in the model',
    ),
    'log_level': (lambda value: isinstance(value, int) or value in _LEVELS, f'one of {", ".join(_LEVELS)}'),
    'randomness.seed': (
        lambda value: value is None or (isinstance(value, int) and 0 <= value <= _SEEDS),
        f'a whole number from 0 to {_SEEDS}',
    ),
    'default_hooks.checkpoint.save_best': (
        lambda value: all(isinstance(name, str) for name in as_list(value)),
        'the name of a metric, or a list of such names',
    ),
}


def check_values(config: Config) -> None:
    """Checks the keys of a config that mmengine's runner reads.

    Args:
        config: The config.

    Raises:
        UserError: One holds what cannot be meant; the message names it and what it may hold.
    """
    for key, value, wanted in _wrong(config):
        raise UserError(f'{key}={reprlib.repr(value)} in the config must be {wanted}.')


def _wrong(config: Config) -> Iterator[tuple[str, Any, str]]:
    for key in _GROUPS:
        for value in _found(config, key):
            if value is not None and not isinstance(value, Mapping):
                yield key, value, 'a group of settings'
    for key, least in _NUMBERS.items():
        for value in _found(config, key):
            is_whole = isinstance(value, Real) and not isinstance(value, bool) and value // 1 == value
            if not is_whole or value < least:
                yield key, value, f'a whole number from {least} on'
    for key, (fits, wanted) in _OTHERS.items():
        for value in _found(config, key):
            if not fits(value):
                yield key, value, wanted
    for value in _found(config, 'model.data_preprocessor'):
        if value is None and config.default_scope in ('mmseg', 'mmdet'):  # mmpretrain's models have one by default
            yield 'model.data_preprocessor', value, 'a group of settings with a type'
    for split in SPLITS:
        loader = config.get(f'{split}_dataloader')
        if loader:
            yield from _wrong_in_loader(loader, f'{split}_dataloader')


def _wrong_in_loader(loader: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any, str]]:
    dataset, sampler, collate = (loader.get(key) for key in ('dataset', 'sampler', 'collate_fn'))
    if not isinstance(dataset, Mapping):
        several = isinstance(dataset, (list, tuple)) and dataset
        cure = "; write dict(type='ConcatDataset', datasets=[...]) for several" if several else ''
        yield f'{path}.dataset', dataset, f'a group of settings with a type{cure}'
    for where, node in datasets_of(dataset, f'{path}.dataset', wrappers=True):
        if node.get('type') is None:
            yield f'{where}.type', None, 'the class that reads the data, or its name'
    if not isinstance(sampler, Mapping):
        yield f'{path}.sampler', sampler, 'a group of settings with a type, such as DefaultSampler'
    kind = collate.get('type') if isinstance(collate, Mapping) else collate
    if isinstance(kind, str) and not callable(FUNCTIONS.get(kind)):  # it may find a module
        yield f'{path}.collate_fn.type', kind, 'a function that is registered, such as pseudo_collate'


def _found(config: Config, key: str) -> Iterator[Any]:
    """The value of a dotted key, if the config has it."""
    node: Any = config
    for part in key.split('.'):
        if node is not config and not isinstance(node, Mapping):
            return
        if part not in node:
            return
        node = node[part]
    yield node
