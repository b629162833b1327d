"""Putting SepViT in place of the backbone of an existing config."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings

from ...checkpoints.fits import check_pretrained
from ..sources import load
from .backbone import NewBackbone, NewSepViT, OtherBackbone
from .errors import SwapError
from .leftovers import drop_links, keep_layer_decay
from .preprocessor import set_preprocessor
from .pretrained import pretrained_init
from .price import Price, count_price
from .recipe import TASKS, set_recipe, wants_recipe
from .refusals import check_model
from .replacement import Replacement
from .report import SwapReport, differences
from .sites import find_sites


def swap_backbone(
    cfg: Config | dict | str | Path,
    arch: str | dict = 'tiny',
    recipe: str | None = None,
    pretrained: str | None = None,
    *,
    path: str | None = None,
    swap_teachers: bool = False,
    backbone: dict | None = None,
    **backbone_args: Any,
) -> Config:
    """Puts SepViT in place of the backbone of a detector's, segmentor's, pose estimator's or classifier's config.

    Everything that depended on the old backbone follows: widths in necks and heads, the statistics and channel order of
    8-bit RGB images, links to pretrained weights, frozen stages and checkpointing, and a training recipe that was made
    for a convolutional network. Classifiers get the paper's classification form for the size of their training crops,
    all others its dense form.

    Args:
        cfg: The config, or a file, or ``package::path`` such as 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'.
        arch: SepViT's architecture: 'lite', 'tiny', 'small', 'base' or a dict. Defaults to 'tiny'.
        recipe: 'sepvit' for the optimizer, decay, warm-up, clipping and stochastic depth of the nearest published
            recipe, its rate scaled to the config's batch; 'keep' for the config's own. The length of the training stays
            in both. Defaults to None, 'sepvit' where the config's optimizer is SGD.
        pretrained: A checkpoint to start SepViT from: a file, a URL, or a name of weights that the package carries.
            Defaults to None, random weights.
        path: Dotted path of the backbone to replace, such as 'model.detector.backbone'. Defaults to None, every one
            that belongs to the trained model.
        swap_teachers: Whether teachers of distillation get it too. Defaults to False.
        backbone: Config of another backbone than SepViT, of maps of several scales, such as
            ``dict(type='mmpretrain.ConvNeXt', arch='tiny')``. Defaults to None, SepViT.
        **backbone_args: Further arguments of :class:`mmsepvit.SepViT`.

    Returns:
        A new config; ``cfg`` stays as it is. What a reader should know beyond it is logged.

    Raises:
        SwapRefused: The algorithm has no place for another backbone; the message says why.
        SwapError: The config cannot be read, has no model, or an argument does not fit.
        UserError: The weights cannot be read, or are not this backbone's.

    Examples:
        >>> from mmsepvit import swap_backbone
        >>> config = swap_backbone('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', arch='small')
        >>> config.model.neck.in_channels
        [96, 192, 384, 768]
    """
    report = swap(
        cfg, arch, recipe, pretrained, path=path, swap_teachers=swap_teachers, backbone=backbone, **backbone_args
    )
    for note in report.remarks():
        print_log(f'swap_backbone: {note}', logger='current', level=logging.INFO)
    return report.config


def swap(
    cfg: Config | dict | str | Path,
    arch: str | dict = 'tiny',
    recipe: str | None = None,
    pretrained: str | None = None,
    *,
    path: str | None = None,
    swap_teachers: bool = False,
    backbone: dict | None = None,
    price: bool = False,
    **backbone_args: Any,
) -> SwapReport:
    """As :func:`swap_backbone`, and returns what it did along with the new config.

    Args:
        price: Whether to count parameters and multiply-adds before and after, which takes seconds. Defaults to False.
    """
    config = load(cfg)
    if not isinstance(config.get('model'), dict):
        raise SwapError(f'config{f" {config.filename!r}" if config.filename else ""} has no model')
    if 'out_indices' in backbone_args:
        raise SwapError('out_indices follows from what the necks and heads read; it cannot be given')
    if backbone is not None and (pretrained or backbone_args):
        raise SwapError('weights and arguments of another backbone than SepViT stand in its own config')
    _import_packages(config)
    with DefaultScope.overwrite_default_scope(config.get('default_scope')):
        new: NewBackbone
        if backbone is None:
            new = NewSepViT(arch, backbone_args, pretrained_init(pretrained) if pretrained else None)
        else:
            new = OtherBackbone(backbone)
        return _swap(config, new, recipe, path, swap_teachers, price)


def _import_packages(config: Config) -> None:
    """Imports what registers the classes of a config: its own modules, and its package's."""
    imports = config.get('custom_imports')
    if imports:
        import_modules_from_strings(**imports)
    scope = config.get('default_scope')
    if scope not in (None, 'mmengine'):
        import_modules_from_strings(f'{scope}.models')


def _swap(
    config: Config, new: NewBackbone, recipe: str | None, path: str | None, swap_teachers: bool, price: bool
) -> SwapReport:
    old, changed = config.to_dict(), config.to_dict()
    check_model(changed['model'])
    replacements = [Replacement(changed, site, new) for site in find_sites(changed['model'], swap_teachers, path)]
    backbones = []
    notes: list[str] = []
    for replacement in replacements:
        backbones.append(copy.deepcopy(replacement.site.backbone))
        replacement.run()
        notes += replacement.notes + drop_links(changed, replacement.site.owner)
    notes += set_preprocessor(changed, {r.site.path: r.bands for r in replacements})
    notes += _fit_training(changed, replacements, new, recipe, config.filename)
    notes += [note for r in replacements for note in r.frozen_notes()]
    paths = [r.site.backbone_path for r in replacements]
    filename = config.filename if config.filename and Path(config.filename).is_file() else None
    result = Config(changed, filename=filename)
    check_pretrained(result)
    changes = list(differences(old, changed, whole=tuple(paths)))
    cost = _price(config, result, backbones[0], replacements[0]) if price else None
    return SwapReport(result, new.name, paths, changes, list(dict.fromkeys(notes)), cost)


def _fit_training(
    config: dict, replacements: list[Replacement], new: NewBackbone, recipe: str | None, filename: str | None
) -> list[str]:
    """Sets the recipe where it is asked for, else keeps the config's own as far as it can be; returns notes."""
    first = replacements[0]
    if recipe == 'sepvit' and not isinstance(new, NewSepViT):
        raise SwapError(f"recipe='sepvit' is not that of {new.name}: use recipe='keep'")
    is_frozen = all(r.is_frozen for r in replacements)
    if not isinstance(new, NewSepViT) or not wants_recipe(config, recipe, is_frozen):
        return keep_layer_decay(config)
    if recipe is None and first.task not in TASKS:
        return [
            f'the recipe stays, rate and all: none of SepViT is published for {first.task}',
            *keep_layer_decay(config),
        ]
    rate, notes = set_recipe(config, first.site.owner, first.task, new.arch, filename)
    for backbone in (r.new_backbone for r in replacements if not r.is_frozen):
        if 'drop_path_rate' not in new.arguments:
            backbone['drop_path_rate'] = rate
        if 'frozen_stages' in backbone and 'frozen_stages' not in new.arguments:
            frozen = backbone.pop('frozen_stages')
            notes.append(f'recipe: frozen_stages={frozen} of the old backbone is gone: SepViT is trained as a whole')
    return notes


def _price(old: Config, new: Config, backbone: dict, replacement: Replacement) -> Price | None:
    strides = [[f.stride for f in features] for features in (replacement.old, replacement.out)]
    crop = replacement.size if replacement.task == 'classification' else None
    return count_price(old, new, (backbone, replacement.backbone), (strides[0], strides[1]), crop)
