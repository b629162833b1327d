"""A wider SepViT that begins where a narrow one stands, by Net2Net's widening (arXiv 1511.05641)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Layers whose outputs are several maps of C channels after one another: queries, keys and values; queries and keys.
_PARTS = {'dsa_qkv': 3, 'psa_qk': 2}
# Layers that do not read a map of C channels, all of which a wider model has: the image, and each channel by itself.
_OWN_INPUT = re.compile(r'stages\.0\.patch_embed\.proj|\.cpe\.proj')
# Deviation of what a layer takes of each copy, relative to an even share. Of even shares, the copies of a head or of a
# hidden channel would get one and the same gradient for ever.
_UNEVEN = 0.5


def widen(state: Mapping[str, Tensor], times: int) -> dict[str, Tensor]:
    """Weights of a SepViT with so many times the channels and heads, whose maps are those of the narrow one, repeated.

    Each channel is there several times, and what reads it takes random shares of the copies that sum to 1, so that the
    copies part in training. The same weights give the same shares.

    Args:
        state: Parameters of a dense SepViT, under any prefix, in any precision.
        times: How often a channel is there, 1 or more.

    Returns:
        Parameters of the wide one, float32, under the same names.
    """
    random = torch.Generator().manual_seed(0)
    return {name: _widened(name, state[name].float(), times, random) for name in sorted(state)}


def _widened(name: str, value: Tensor, times: int, random: torch.Generator) -> Tensor:
    parts = next((count for layer, count in _PARTS.items() if f'.{layer}.' in name), 1)
    value = value.unflatten(0, (parts, 1, -1)).repeat_interleave(times, dim=1)  # (parts, times, C_out, ...)
    if value.ndim > 3 and not _OWN_INPUT.search(name):
        noise = torch.randn(*value.shape[:3], times, value.shape[3], generator=random)  # (..., C_out, times, C_in)
        shares = (1 + _UNEVEN * (noise - noise.mean(dim=3, keepdim=True))) / times
        value = value.unsqueeze(3) * shares.view(*shares.shape, *[1] * (value.ndim - 4))
        value = value.flatten(3, 4)
    return value.flatten(0, 2)
