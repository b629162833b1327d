"""The paper's two kinds of model, and their published weights with and without numbers."""

from __future__ import annotations

import golden
import torch
from torch import Tensor

from mmsepvit import SepViT

ENTRIES = [tuple(entry.replace('SepViT_', '').lower().split('/')) for entry in golden.KEYS]
"""(kind, arch) of every published model."""


def build_backbone(kind: str, arch: str, device: str = 'meta', **options: object) -> SepViT:
    """The classification or dense backbone."""
    if kind == 'classification':
        options = {'out_indices': (3,), 'window_token': 'learnable', 'single_window_psa': False, **options}
    with torch.device(device):
        return SepViT(arch, **options)


def shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def published(kind: str, arch: str, device: str = 'cpu') -> dict[str, Tensor]:
    """The published state dict: the golden rule's numbers in float32, or none on the meta device."""
    if device == 'meta':
        names = golden.KEYS[f'{kind}/SepViT_{arch.capitalize()}']
        return {name: torch.empty(shape, device='meta') for name, shape in names.items()}
    return {name: weight.float() for name, weight in golden.official_weights(kind, arch).items()}
