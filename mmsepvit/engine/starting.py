"""Says loudly that a detector or segmentor is about to be trained from random weights."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..config_tree import builds
from ..models import SepViT

_DENSE = ('mmdet', 'mmseg')


def random_start(model: nn.Module, config: Config) -> str | None:
    """Looks whether a dense model's SepViT starts from random weights.

    Args:
        model: The model, as the runner built it.
        config: Its config, with ``load_from`` and ``resume`` as the command line left them.

    Returns:
        A warning, or None where the model starts from weights or is none of segmentation or detection: a classifier,
        and what distils one, are what weights come from.
    """
    if config.get('default_scope') not in _DENSE or config.get('load_from') or config.get('resume'):
        return None
    backbones = [module for module in model.modules() if isinstance(module, SepViT)]
    if not backbones or _reads_weights(model) or all(map(_reads_weights, backbones)):
        return None
    return (
        'SepViT starts from RANDOM weights. In a public report, a Swin-T with FPN reached 11.9 mIoU on ADE20K so, and '
        '42.1 from ImageNet weights. docs/without_weights.md has the ways to better ones.'
    )


def _reads_weights(module: nn.Module) -> bool:
    init_cfg = getattr(module, 'init_cfg', None)
    steps = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return any(builds(step, PretrainedInit, None, WEIGHT_INITIALIZERS) for step in steps)
