"""The training recipe that comes with SepViT: optimizer, warm-up, stochastic depth, clipping.

The numbers are those of this project's own configs, which are the paper's; they are read from there.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

from ...config_tree import as_list, builds, nodes
from ..load import config_folder
from .classes import is_a, type_name
from .errors import SwapError
from .leftovers import has_layer_decay

RECIPES = ('keep', 'sepvit')
TASKS = ('classification', 'segmentation', 'detection')
"""Those that a recipe of SepViT is published for."""

_WARMUPS = (
    'mmengine.LinearParamScheduler',
    'mmengine.ConstantParamScheduler',
    'mmdet.QuadraticWarmupParamScheduler',
)
_STEPS = ('mmengine.StepParamScheduler', 'mmengine.MultiStepParamScheduler')
# They follow a curve from their beginning to their end, which therefore begins where the warm-up ends.
_CURVES = ('mmengine.PolyParamScheduler', 'mmengine.CosineAnnealingParamScheduler')
_LETTERS = {'lite': 'lite', 'tiny': 't', 'small': 's', 'base': 'b'}
_COCO_IMAGES = 117266
_LONG_EPOCHS = 24  # from here on the published recipe of 36 epochs is nearer than that of 12


def wants_recipe(config: dict, recipe: str | None, is_frozen: bool) -> bool:
    """Whether the recipe of SepViT is to replace a config's own.

    Args:
        config: The config.
        recipe: 'sepvit', 'keep', or None for 'sepvit' where the config's optimizer is SGD.
        is_frozen: Whether the backbone does not train, so that the config's recipe is its head's.

    Raises:
        SwapError: There is no such recipe.
    """
    if recipe not in (None, *RECIPES):
        raise SwapError(f"recipe='{recipe}' is none of {', '.join(RECIPES)}")
    if recipe is not None:
        return recipe == 'sepvit'
    optimizer = (config.get('optim_wrapper') or {}).get('optimizer')
    return not is_frozen and builds(optimizer, torch.optim.SGD, None, OPTIMIZERS)


def set_recipe(config: dict, owner: dict, task: str, arch: str | dict, filename: str | None) -> tuple[float, list[str]]:
    """Gives a config the nearest published recipe of SepViT, scaled to its batch; its length stays.

    Args:
        config: The config, changed in place.
        owner: The model in it that has the backbone.
        task: Its task.
        arch: SepViT's architecture.
        filename: The config's file, whose name may tell the batch.

    Returns:
        The stochastic depth, which the backbone's config is to have, and a note on each change with its reason.

    Raises:
        SwapError: No recipe is published for this task, or the config has no single optimizer.
    """
    wrapper = config.get('optim_wrapper')
    if not isinstance(wrapper, dict) or not isinstance(wrapper.get('optimizer'), dict):
        raise SwapError("recipe='sepvit': the config has no optim_wrapper with one optimizer; use recipe='keep'")
    source, published = nearest_recipe(config, owner, task, arch)
    batch, where = batch_size(config, filename)
    published_batch = published.auto_scale_lr.base_batch_size
    old = wrapper['optimizer']
    new = published.optim_wrapper.optimizer.to_dict()
    new['lr'] = float(f'{new["lr"] * batch / published_batch:.4g}')
    wrapper['optimizer'] = new
    scaled = f'scaled from batch {published_batch} to {batch}' if batch != published_batch else f'for batch {batch}'
    notes = [
        f'optimizer: {type_name(new)} with rate and decay of {source}, {scaled} ({where}): {type_name(old)} with the '
        'rate of the old backbone trains a transformer badly',
        *_set_exceptions(wrapper, published),
    ]
    if (config.get('auto_scale_lr') or {}).get('base_batch_size') is None:
        config['auto_scale_lr'] = {'enable': False, 'base_batch_size': batch}
        notes.append(
            f'auto_scale_lr: names batch {batch}, which the rate is for, so that --auto-scale-lr can follow another'
        )
    clip = published.optim_wrapper.get('clip_grad')
    if clip:
        wrapper['clip_grad'] = clip.to_dict()
        notes.append(f'clip_grad: {dict(clip)}, as in {source}: it bounds the step that one batch can make')
    notes += _set_schedule(config, published, new['lr'], new['lr'] / old['lr'] if old.get('lr') else 1.0, task)
    rate = published.model.backbone.get('drop_path_rate', 0.0)
    notes.append(f'drop_path_rate={rate}: stochastic depth, the regularisation of {source}')
    return rate, [f'recipe: {note}' for note in notes]


def nearest_recipe(config: dict, owner: dict, task: str, arch: str | dict) -> tuple[str, Config]:
    """The config of this project whose task, schedule and size are nearest: its name and what it holds.

    Raises:
        SwapError: None is published for this task.
    """
    if task == 'classification':
        name = 'sepvit_{}_imagenet'
    elif task == 'segmentation':
        is_fpn = any(is_a(head, 'mmseg.FPNHead') for head in as_list(owner.get('decode_head')))
        name = 'fpn_sepvit_{}_ade20k' if is_fpn else 'upernet_sepvit_{}_ade20k'
    elif task in TASKS:
        detector = 'mask_rcnn' if 'roi_head' in owner else 'retinanet'
        name = f'{detector}_sepvit_{{}}_{"3x" if _epochs(config) >= _LONG_EPOCHS else "1x"}_coco'
    else:
        raise SwapError(f"recipe='sepvit': none is published for {task}; use recipe='keep'")
    folder = config_folder()
    letters = dict.fromkeys((_LETTERS.get(arch, 't') if isinstance(arch, str) else 't', 't'))
    for letter in letters:  # an architecture of one's own, or without a recipe, takes Tiny's
        file = folder / f'{name.format(letter)}.py' if folder else None
        if file is not None and file.is_file():
            return file.name, Config.fromfile(file)
    raise SwapError(f"recipe='sepvit': the config {name.format('t')}.py of this project is missing from {folder}")


def batch_size(config: dict, filename: str | None) -> tuple[int, str]:
    """Images of a batch over all processes that a config is meant for, and what says so."""
    base = (config.get('auto_scale_lr') or {}).get('base_batch_size')
    if base:
        return base, 'auto_scale_lr.base_batch_size'
    steps = (config.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    named = re.search(r'(?:^|_)(\d+)xb(\d+)(?:-|_|$)', Path(filename or '').stem)
    if named:
        return int(named[1]) * int(named[2]) * steps, f"'{named[0].strip('_-')}' in the config's name"
    return (config.get('train_dataloader') or {}).get(
        'batch_size', 1
    ) * steps, "one process's; the config names no other"


def _epochs(config: dict) -> float:
    """Length of the training in times that each image is seen; of iterations, in those of COCO."""
    loop = config.get('train_cfg') or {}
    if loop.get('max_iters'):
        return loop['max_iters'] * batch_size(config, None)[0] / _COCO_IMAGES
    repeats = [n['times'] for n in nodes((config.get('train_dataloader') or {}).get('dataset')) if 'times' in n]
    return loop.get('max_epochs', 12) * max(repeats, default=1)


def _set_exceptions(wrapper: dict, published: Config) -> list[str]:
    """Takes norms, biases, position encoding and window tokens out of the weight decay; other exceptions stay."""
    notes = []
    if has_layer_decay(wrapper):
        notes.append('constructor: that of layer-wise decay is gone, as the published recipe has none')
        wrapper.pop('constructor')
        wrapper.pop('paramwise_cfg', None)
    old = wrapper.get('paramwise_cfg') or {}
    theirs = copy.deepcopy((published.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {})
    keys = {**{name: {'decay_mult': 0.0} for name in ('norm', 'cpe', 'window_token')}, **theirs}
    wrapper['paramwise_cfg'] = {
        **old,
        'norm_decay_mult': 0.0,
        'bias_decay_mult': 0.0,
        'custom_keys': {**keys, **(old.get('custom_keys') or {})},
    }
    return [
        *notes,
        'paramwise_cfg: no decay of norms, biases, position encoding (cpe) and window tokens, which it would '
        'pull to zero without making the function any simpler',
    ]


def _set_schedule(config: dict, published: Config, lr: float, factor: float, task: str) -> list[str]:
    """Puts the published warm-up before the config's schedule, whose floor follows the rate, and says why.

    Args:
        config: The config, changed in place.
        published: The published recipe.
        lr: The new rate.
        factor: The new rate over the old one.
        task: The task; a classifier's steps become the cosine of the published recipe.
    """
    loop = config.get('train_cfg') or {}
    by_epoch = 'max_iters' not in loop
    total = loop.get('max_epochs' if by_epoch else 'max_iters')
    schedule = [copy.deepcopy(s) for s in as_list(config.get('param_scheduler'))]
    own = [s for s in schedule if _is_warmup(s, total, by_epoch)]
    rest = [s for s in schedule if s not in own]
    theirs = [_fit(s, published, total, by_epoch) for s in published.param_scheduler if _is_warmup(s, None, by_epoch)]
    warmups = theirs or own  # a transformer is better off with any than with none
    end = max((w.get('end', 0) for w in warmups if w.get('by_epoch', True) == by_epoch), default=0)
    notes = []
    steps = [s for s in rest if task == 'classification' and is_a(s, *_STEPS, registry=PARAM_SCHEDULERS)]
    rest = [s for s in rest if s not in steps]
    for scheduler in rest:
        if scheduler.get('eta_min'):
            scheduler['eta_min'] = min(float(f'{scheduler["eta_min"] * factor:.4g}'), lr)
            notes.append(f'param_scheduler: eta_min={scheduler["eta_min"]:g}, the share of the rate that it was before')
        begin = scheduler.get('begin', 0)
        if is_a(scheduler, *_CURVES, registry=PARAM_SCHEDULERS) and scheduler.get('by_epoch', True) == by_epoch:
            if begin < end and 'T_max' in scheduler:
                scheduler['T_max'] -= end - begin
            scheduler['begin'] = max(begin, end)
            if begin < end:
                notes.append(
                    f'param_scheduler: begin={end}, where the warm-up ends, so that the curve starts at the full rate'
                )
    if steps:
        floor = next(s['eta_min'] for s in published.param_scheduler if 'eta_min' in s)
        floor = float(f'{floor * lr / published.optim_wrapper.optimizer.lr:.4g}')
        rest.append({'type': 'CosineAnnealingLR', 'eta_min': floor, 'by_epoch': by_epoch, 'begin': end, 'end': total})
        notes.append(
            'param_scheduler: a cosine of the same length instead of steps, as in the published recipe: the steps '
            'were placed for the old one'
        )
    config['param_scheduler'] = [*warmups, *rest]
    if warmups != own:
        unit = 'epochs' if warmups[0].get('by_epoch', True) else 'iterations'
        notes.append(
            f'param_scheduler: warm-up of {warmups[0]["end"]} {unit} from {warmups[0]["start_factor"]:g} of the rate, '
            "while the optimizer's averages are of few batches"
        )
    elif not theirs and own:
        notes.append('param_scheduler: the warm-up stays, as the published recipe has none')
    return [*notes, f'the length stays: {total} {"epochs" if by_epoch else "iterations"}'] if total else notes


def _is_warmup(scheduler: Any, total: int | None, by_epoch: bool) -> bool:
    """Whether a scheduler raises the rate at the beginning, rather than lowers it over the whole training."""
    whole = total is not None and scheduler.get('by_epoch', True) == by_epoch and scheduler.get('end', total) >= total
    begins = scheduler.get('begin', 0) == 0
    return begins and not whole and is_a(scheduler, *_WARMUPS, registry=PARAM_SCHEDULERS)


def _fit(warmup: Any, published: Config, total: int | None, by_epoch: bool) -> dict:
    """A published warm-up in the unit of a config's training loop, and at most a tenth of its length."""
    warmup = warmup.to_dict()
    if total is None:
        return warmup
    if warmup.get('by_epoch', True) and not by_epoch:
        share = warmup['end'] / published.train_cfg.max_epochs
        warmup.update(by_epoch=False, end=max(1, round(share * total)))
        warmup.pop('convert_to_iter_based', None)
    if warmup.get('by_epoch', True) == by_epoch:
        warmup['end'] = min(warmup['end'], max(1, total // 10))
    return warmup
