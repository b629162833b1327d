"""The backbones that are compared, each built when the package that it comes from is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor, nn

from mmsepvit.models import SepViT

from ..plain_sepvit import sepvit

_ALL = (0, 1, 2, 3)


class NotHereError(Exception):
    """The model's package is not there."""


class PlainSepViT(nn.Module):
    """SepViT as the tests compute it: from the equations, in loops over windows and heads."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        self.parameters_of = SepViT(arch)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to the maps of the four stages."""
        return tuple(sepvit(self.parameters_of, images))


def _package(name: str, module: str) -> ModuleType:
    if importlib.util.find_spec(name) is None:
        raise NotHereError(f'{name} is not installed')
    return importlib.import_module(module)


def _swin(arch: str) -> nn.Module:
    backbones = _package('mmpretrain', 'mmpretrain.models.backbones')
    return backbones.SwinTransformer(arch, out_indices=_ALL, pad_small_map=True, drop_path_rate=0.0)


def _twins(name: str, arch: str) -> nn.Module:
    backbones = _package('mmpretrain', 'mmpretrain.models.backbones')
    return getattr(backbones, name)(arch, out_indices=_ALL, norm_after_stage=True, drop_path_rate=0.0)


def _pvt_v2() -> nn.Module:
    backbones = _package('mmdet', 'mmdet.models.backbones')
    return backbones.PyramidVisionTransformerV2(embed_dims=64, num_layers=[3, 4, 6, 3], drop_path_rate=0.0)


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    'sepvit-tiny': lambda: SepViT('tiny'),
    'sepvit-small': lambda: SepViT('small'),
    'sepvit-base': lambda: SepViT('base'),
    'sepvit-tiny-cp': lambda: SepViT('tiny', with_cp=True),
    'plain-tiny': lambda: PlainSepViT('tiny'),
    'plain-small': lambda: PlainSepViT('small'),
    'plain-base': lambda: PlainSepViT('base'),
    'swin-tiny': lambda: _swin('tiny'),
    'swin-small': lambda: _swin('small'),
    'swin-base': lambda: _swin('base'),
    'twins-svt-small': lambda: _twins('SVT', 'small'),
    'twins-svt-base': lambda: _twins('SVT', 'base'),
    'pcpvt-small': lambda: _twins('PCPVT', 'small'),
    'pvtv2-b2': _pvt_v2,
}
"""Names of the models; each gives the maps of four stages, strides 4 to 32, without stochastic depth."""


def build(name: str) -> nn.Module:
    """Builds a model with random weights, the same in every run.

    Args:
        name: One of `BUILDERS`.

    Returns:
        The model on the CPU, in float32 and in evaluation mode.

    Raises:
        NotHereError: If the package that it comes from is not installed.
    """
    torch.manual_seed(0)
    model = BUILDERS[name]()
    model.eval()  # not in a chain: some backbones of the packages return nothing from it
    return model
