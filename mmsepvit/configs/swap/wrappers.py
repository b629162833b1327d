"""Backbones around a backbone: networks that hold a classification backbone and add a path of their own."""

from __future__ import annotations

from collections.abc import Callable

from .probe import Feature
from .sites import type_name


def _stdc(wrapper: dict, old: list[Feature], new: list[int]) -> None:
    """Rewrites STDC's context path: it refines the last two maps and fuses the first of three."""
    last_width = wrapper['ffm_cfg']['in_channels'] - old[0].channels
    wrapper['last_in_channels'] = (new[2], new[1])
    wrapper['ffm_cfg']['in_channels'] = last_width + new[0]


def _bisenet(wrapper: dict, old: list[Feature], new: list[int]) -> None:
    """Rewrites BiSeNet's context path.

    Its fusion is as wide as the stride-16 map, and takes the spatial path and the refined context side by side: here
    half from either.
    """
    half = new[2] // 2
    spatial = tuple(wrapper.get('spatial_channels', (64, 64, 64, 128)))
    wrapper['spatial_channels'] = (*spatial[:3], new[2] - half)
    wrapper['context_channels'] = (half, new[2], new[3])


# Class of the wrapper -> (SepViT's stages, rewriting of its widths).
WRAPPERS: dict[str, tuple[tuple[int, ...], Callable[[dict, list[Feature], list[int]], None]]] = {
    'STDCContextPathNet': ((1, 2, 3), _stdc),
    'BiSeNetV1': ((0, 1, 2, 3), _bisenet),
}


def is_wrapper(backbone: dict) -> bool:
    """Whether a backbone's config holds the real backbone under ``backbone_cfg``."""
    return type_name(backbone) in WRAPPERS
