"""Backbones around a backbone: networks that hold a classification backbone and add a path of their own."""

from __future__ import annotations

from collections.abc import Callable

from .classes import is_a
from .probe import Feature


def _stdc(wrapper: dict, old: list[Feature], new: list[int]) -> None:
    """Rewrites STDC's context path, which refines the last two of three maps and fuses the first."""
    last_width = wrapper['ffm_cfg']['in_channels'] - old[0].channels
    wrapper['last_in_channels'] = (new[2], new[1])
    wrapper['ffm_cfg']['in_channels'] = last_width + new[0]


def _bisenet(wrapper: dict, old: list[Feature], new: list[int]) -> None:
    """Rewrites BiSeNet's context path.

    Its fusion is as wide as the map of stride 16 and concatenates the spatial path and the refined context. Each gets
    half of the width.
    """
    half = new[2] // 2
    spatial = tuple(wrapper.get('spatial_channels', (64, 64, 64, 128)))
    wrapper['spatial_channels'] = (*spatial[:3], new[2] - half)
    wrapper['context_channels'] = (half, new[2], new[3])


Rewrite = Callable[[dict, list[Feature], list[int]], None]

# Class of the wrapper -> stages of the new backbone inside, and the function that rewrites the wrapper's widths.
_WRAPPERS: dict[str, tuple[tuple[int, ...], Rewrite]] = {
    'mmseg.STDCContextPathNet': ((1, 2, 3), _stdc),
    'mmseg.BiSeNetV1': ((0, 1, 2, 3), _bisenet),
}


def wrapper_of(backbone: dict) -> tuple[tuple[int, ...], Rewrite] | None:
    """Stages and rewriting function for a config that holds the real backbone under ``backbone_cfg``, else None."""
    return next((found for name, found in _WRAPPERS.items() if is_a(backbone, name)), None)
