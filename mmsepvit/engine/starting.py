"""What is looked at when a model is built and before it is trained: layers of no channels, and random weights."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.model import PretrainedInit, is_model_wrapper
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn
from torch.nn.parameter import UninitializedParameter

from ..config_tree import as_list, builds
from ..errors import UserError
from ..models import FeatureDistillation, SepViT

_CLASSIFIERS = 'mmpretrain'
"""Scope of what weights come from. Every other scope's models are there to start from some."""


def check_channels(model: nn.Module) -> None:
    """Looks for layers of no channels, which PyTorch builds with a warning and cannot run.

    Args:
        model: The model, as the runner built it.

    Raises:
        UserError: One has a parameter without values, of a width of 0 in the config.
    """
    for name, parameter in model.named_parameters():
        if not isinstance(parameter, UninitializedParameter) and parameter.numel() == 0:
            path, _, _ = name.rpartition('.')
            raise UserError(
                f'model.{path} in the config comes to a layer of no channels: its weight is of the shape '
                f'{tuple(parameter.shape)}.\nGive the width that the config says there, such as channels, 1 or more.'
            )


def random_start(model: nn.Module, config: Config) -> str | None:
    """Looks whether a dense model's SepViT starts from random weights.

    Args:
        model: The model, as the runner built it.
        config: Its config, with ``load_from`` and ``resume`` as the command line left them.

    Returns:
        A warning, or None where the model starts from weights, or is one that weights come from: a classifier, or a
        distillation.
    """
    if config.get('default_scope') == _CLASSIFIERS or config.get('load_from') or config.get('resume'):
        return None
    model = model.module if is_model_wrapper(model) else model
    if isinstance(model, FeatureDistillation):
        return None
    backbones = [module for module in model.modules() if isinstance(module, SepViT)]
    if not backbones or _reads_weights(model) or all(map(_reads_weights, backbones)):
        return None
    return (
        'SepViT starts from RANDOM weights. In a public report, a Swin-T with FPN reached 11.9 mIoU on ADE20K so, and '
        '42.1 from ImageNet weights. docs/without_weights.md has the ways to better ones.'
    )


def _reads_weights(module: nn.Module) -> bool:
    steps = as_list(getattr(module, 'init_cfg', None))
    return any(builds(step, PretrainedInit, None, WEIGHT_INITIALIZERS) for step in steps)
