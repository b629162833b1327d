"""What a swap costs: parameters and multiply-adds before and after."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from ...config_tree import replace_sync_bn
from ...errors import UserError
from ...evaluation.flops import DEFAULT_SHAPES, count_config, with_total
from .classes import quiet
from .probe import build_module

_DEFAULT_SHAPE = (512, 512)


@dataclass(frozen=True)
class Price:
    """Costs of one image before and after a swap.

    Attributes:
        part: What was counted: the whole model, or its backbone where models of its kind cannot be counted.
        shape: Height and width of the image in pixels.
        params: Parameters before and after.
        macs: Multiply-adds before and after.
        strides: Strides of the backbone's outputs before and after.
    """

    part: str
    shape: tuple[int, int]
    params: tuple[int, int]
    macs: tuple[int, int]
    strides: tuple[Sequence[int], Sequence[int]]

    def __str__(self) -> str:
        params, macs = (
            [f'{value / unit:.4g}' for value in pair] for pair, unit in ((self.params, 1e6), (self.macs, 1e9))
        )
        strides = [', '.join(str(stride or 'none') for stride in each) for each in self.strides]
        return (
            f'{self.part}: {params[0]} -> {params[1]} M parameters, {macs[0]} -> {macs[1]} G multiply-adds at '
            f'{self.shape[0]}x{self.shape[1]}; strides {strides[0]} -> {strides[1]}'
        )


def count_price(
    old: Config,
    new: Config,
    backbones: tuple[dict, dict],
    strides: tuple[Sequence[int], Sequence[int]],
    crop: tuple[int, int] | None,
) -> Price | None:
    """Counts a config before and after a swap.

    Args:
        old: The config before.
        new: The config after.
        backbones: Its backbone before and after.
        strides: Strides of the backbone's outputs before and after.
        crop: Height and width of a classifier's training images, None in other tasks.

    Returns:
        The costs of the model; of the backbone alone where the tool that counts does not know models of that kind; None
        where neither can be run without weights and data.
    """
    shape = crop or DEFAULT_SHAPES.get(old.get('default_scope'), _DEFAULT_SHAPE)
    try:
        with quiet():
            models = [with_total(count_config(_buildable(config), shape).full)['model'] for config in (old, new)]
        params, macs = zip(*((m.params, m.macs) for m in models))
        return Price('model', shape, params, macs, strides)
    except (UserError, RuntimeError, ImportError):  # of another structure, or made of what is not installed
        pass
    try:
        counts = [_count_backbone(backbone, shape) for backbone in backbones]
    except (RuntimeError, AssertionError):  # a backbone that takes one size only, say
        return None
    params, macs = zip(*counts)
    return Price('backbone', shape, params, macs, strides)


def _buildable(config: Config) -> Config:
    """A copy of a config whose model can be built in one process."""
    config = copy.deepcopy(config)
    replace_sync_bn(config.model)
    return config


def _count_backbone(backbone: dict, shape: tuple[int, int]) -> tuple[int, int]:
    """Parameters and multiply-adds of a backbone."""
    module = build_module(backbone)
    module.eval()  # mmdet's backbones return nothing from it
    image = torch.empty(1, backbone.get('in_channels', 3), *shape, device='meta')
    with quiet(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(image)
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2
