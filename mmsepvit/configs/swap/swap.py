"""Putting SepViT in place of the backbone of an existing config."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..sources import load
from .backbone import sepvit_config, stage_channels
from .consumers import align_object_context, rewrite_input, rewrite_neck, rewrite_roi_head, rewrite_strides
from .errors import SwapError, SwapRefused
from .leftovers import drop_links, fit_optimizer
from .preprocessor import image_channels, set_preprocessor, training_size
from .probe import Feature, learn_outputs, model_class
from .refusals import check_model, check_site
from .report import SwapReport, differences
from .sites import Site, find_sites, type_name
from .stages import choose_stages
from .wrappers import WRAPPERS, is_wrapper

_PYRAMID_NECKS = ('Feature2Pyramid', 'MultiLevelNeck')
"""Necks that make a pyramid of a plain transformer's maps, which SepViT has already."""
# A head without a layer, behind a backbone that held the classifier, and the one that has it.
_LINEAR_HEADS = {'ClsHead': 'LinearClsHead', 'MultiLabelClsHead': 'MultiLabelLinearClsHead'}
# What goes with an old backbone beside its weights.
_LOST = {
    'ICNet': 'ICNet ran parts of a ResNet on three scales of the image; SepViT reads one, and its strides 8, 16, 32 go '
    'to the neck that fused the three',
}
_REID_SIZE = (256, 128)
_SIZE = (512, 512)


def swap_backbone(
    cfg: Config | dict | str | Path,
    arch: str | dict = 'tiny',
    *,
    path: str | None = None,
    swap_teachers: bool = False,
    **backbone_args: Any,
) -> Config:
    """Puts SepViT in place of the backbone of a detector's, segmentor's or classifier's config.

    Everything that depended on the old backbone follows: widths in necks and heads, the images' statistics and channel
    order, links to pretrained weights, frozen stages and checkpointing. Detectors and segmentors get the paper's dense
    form, classifiers its classification form for the size of their training crops.

    Args:
        cfg: The config, or a file, or ``package::path`` such as 'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'.
        arch: SepViT's architecture: 'lite', 'tiny', 'small', 'base' or a dict. Defaults to 'tiny'.
        path: Dotted path of the backbone to replace, such as 'model.detector.backbone'. Defaults to None, every one
            that belongs to the trained model.
        swap_teachers: Whether teachers of distillation get SepViT too. Defaults to False.
        **backbone_args: Further arguments of :class:`mmsepvit.SepViT`.

    Returns:
        A new config; ``cfg`` stays as it is. What a reader should know beyond it is logged.

    Raises:
        SwapRefused: The algorithm has no place for another backbone; the message says why.
        SwapError: The config cannot be read, has no model, or an argument does not fit.

    Examples:
        >>> from mmsepvit import swap_backbone
        >>> config = swap_backbone('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', arch='small')
        >>> config.model.neck.in_channels
        [96, 192, 384, 768]
    """
    report = swap(cfg, arch, path=path, swap_teachers=swap_teachers, **backbone_args)
    for note in report.notes:
        print_log(f'swap_backbone: {note}', logger='current', level=logging.INFO)
    return report.config


def swap(
    cfg: Config | dict | str | Path,
    arch: str | dict = 'tiny',
    *,
    path: str | None = None,
    swap_teachers: bool = False,
    **backbone_args: Any,
) -> SwapReport:
    """As :func:`swap_backbone`, and returns what it did along with the new config."""
    config = load(cfg)
    old = config.to_dict()
    new = config.to_dict()
    if not isinstance(new.get('model'), dict):
        raise SwapError(f'config{f" {config.filename!r}" if config.filename else ""} has no model')
    if 'out_indices' in backbone_args:
        raise SwapError('out_indices follows from what the necks and heads read; it cannot be given')
    channels = stage_channels(arch)
    check_model(new['model'])
    scope = new.get('default_scope')
    notes: list[str] = []
    sites = find_sites(new['model'], swap_teachers, path)
    for site in sites:
        notes += _swap_site(new, site, scope, arch, channels, backbone_args)
        notes += drop_links(new, site.owner)
    notes += set_preprocessor(new, [site.path for site in sites])
    notes += fit_optimizer(new)
    paths = [site.backbone_path for site in sites]
    filename = config.filename if config.filename and Path(config.filename).is_file() else None
    return SwapReport(
        Config(new, filename=filename),
        paths,
        list(differences(old, new, whole=tuple(paths))),
        list(dict.fromkeys(notes)),
    )


def _task(owner: dict, scope: str | None) -> str:
    """What kind of maps a model wants."""
    cls = model_class(owner, scope)
    module = cls.__module__ if cls is not None else f'{scope}.'
    if module.startswith('mmpretrain.') or '.reid.' in module:
        return 'classification'
    return 'segmentation' if module.startswith('mmseg.') else 'detection'


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _explain(error: Exception) -> str:
    line = next((line for line in str(error).strip().split('\n') if line), '')
    return f'{type(error).__name__}: {line}'


def _swap_site(
    config: dict, site: Site, scope: str | None, arch: str | dict, channels: tuple[int, ...], arguments: dict[str, Any]
) -> list[str]:
    """Replaces one backbone and rewrites what reads it, in place; returns notes."""
    check_site(site)
    if not site.necks and not any(True for _ in site.consumers()):
        raise SwapRefused(f'{type_name(site.owner)} ({site.path}) has no neck and no head: there is nothing to train')
    old_backbone, necks = site.backbone, [copy.deepcopy(n) for n in site.necks]
    person = type_name(site.owner) == 'BaseReID'
    known = learn_outputs([old_backbone, *necks], scope, _REID_SIZE if person else None)
    if isinstance(known[0], Exception):
        raise SwapError(
            f'{site.backbone_path} ({type_name(old_backbone)}) cannot be built and run to learn its outputs: '
            f'{_explain(known[0])}'
        )
    features: list[Feature] = known[0]
    task = _task(site.owner, scope)
    notes = [_LOST[type_name(old_backbone)]] if type_name(old_backbone) in _LOST else []
    size: int | tuple[int, int] | None = None
    if task == 'classification':
        default = _REID_SIZE if person else 224
        size = training_size(config, default) if site.path == 'model' else default

    vector = all(f.ndim == 2 for f in features)
    if is_wrapper(old_backbone):
        stages, rewrite = WRAPPERS[type_name(old_backbone)]
        inner = learn_outputs([old_backbone['backbone_cfg']], scope)[0]
        backbone = copy.deepcopy(old_backbone)
        backbone.pop('init_cfg', None)
        backbone['backbone_cfg'], more = sepvit_config(
            old_backbone['backbone_cfg'], scope, arch, stages, None, arguments
        )
        rewrite(backbone, inner, [channels[i] for i in stages])
        notes += more
    else:
        stages, more = choose_stages(features, task)
        notes += more
        if max(stages) >= len(channels):
            raise SwapError(f'arch has {len(channels)} stages, and stage {max(stages) + 1} is asked for')
        backbone, more = sepvit_config(
            old_backbone, scope, arch, stages, size, arguments, image_channels(config, old_backbone)
        )
        notes += more
    built = learn_outputs([backbone], scope, _SIZE if size is None else _pair(size))[0]
    if isinstance(built, Exception):
        raise SwapError(f'SepViT cannot be built with these arguments: {_explain(built)}')

    before, after = features, built
    if vector:
        head = site.owner.get('head')
        if task != 'classification' or len(features) > 1:
            raise SwapRefused(f'{type_name(old_backbone)} puts out vectors, not maps, and not one for a classifier')
        necks.insert(0, {'type': 'GlobalAveragePooling'})
        known.insert(1, features)
        notes.append('GlobalAveragePooling stands before the head: the old backbone pooled by itself')
        classes = old_backbone.get('num_classes')
        linear = _LINEAR_HEADS.get(type_name(head))
        if linear and classes:
            head.update(type=linear, num_classes=classes, in_channels=features[-1].channels)
            notes.append(f'the head is a {linear} now: the old backbone held the classifier')
    if features[0].ndim == 3 and necks and type_name(necks[0]) == 'GlobalAveragePooling':
        necks[0].pop('dim', None)  # it pooled tokens; SepViT's are a map
    plain = len(features) > 1 and len({f.stride for f in features}) == 1
    if plain and necks and type_name(necks[0]) in _PYRAMID_NECKS:
        notes.append(f"{type_name(necks[0])} is gone: it made a pyramid of one stride, and SepViT's maps are one")
        before = known[1]
        del necks[0], known[1]
        if isinstance(before, Exception):
            raise SwapError(f'the neck cannot be run to learn its outputs: {_explain(before)}')
    roi_head = site.owner.get('roi_head')
    if not necks and task == 'detection' and isinstance(roi_head, dict) and roi_head.get('shared_head'):
        width = before[-1].channels
        necks.append(
            {
                'type': 'ChannelMapper',
                'in_channels': [f.channels for f in after],
                'out_channels': width,
                'kernel_size': 1,
                'norm_cfg': None,
                'act_cfg': None,
                'num_outs': len(after),
            }
        )
        known.append(before)
        notes.append(f'ChannelMapper brings the map to {width} channels, which the shared RoI stage is built for')
        after = before

    done = False
    start = len(known) - 1 if necks and after is before else 0
    for i in range(start, len(necks)):
        done = rewrite_neck(necks[i], [f.channels for f in before], [f.channels for f in after]) or done
        results = learn_outputs([backbone, *necks[: i + 1]], scope, _SIZE if size is None else _pair(size))
        old_out = known[i + 1] if i + 1 < len(known) else None
        new_out = results[-1]
        if not isinstance(old_out, list):
            # A neck that wants more than maps (several crops, labels): its own output width stands in the config.
            if necks[i].get('out_channels') is None:
                raise SwapError(
                    f'neck {type_name(necks[i])} cannot be run to learn its outputs: '
                    f'{_explain(old_out) if old_out else "the neck before it cannot"}'
                )
            before = after
            break
        if isinstance(new_out, Exception):
            raise SwapRefused(f"neck {type_name(necks[i])} does not take SepViT's maps: {_explain(new_out)}")
        before, after = old_out, new_out
    site.put(backbone, necks)

    old_widths, new_widths = [f.channels for f in before], [f.channels for f in after]
    if old_widths != new_widths:
        for path, node in site.consumers():
            done = rewrite_input(node, old_widths, new_widths) or done
            if path.endswith('.roi_head') and len(old_widths) == 1:
                rewrite_roi_head(node, old_widths[0], new_widths[0])
        if not done:
            raise SwapRefused(
                f'nothing behind {site.backbone_path} says in the config that it reads {old_widths} channels, so their '
                'width is fixed in code'
            )
    if task == 'segmentation':
        old_strides, new_strides = [f.stride for f in before], [f.stride for f in after]
        for _, node in site.consumers():
            rewrite_strides(node, old_strides, new_strides)
        heads = site.owner.get('decode_head')
        if isinstance(heads, (list, tuple)) and align_object_context(heads, new_widths):
            notes.append(
                "the head before the OCR head reads the same level as that now: they weigh each other's pixels"
            )
    return notes
