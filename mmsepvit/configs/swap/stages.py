"""Which stages of the new backbone stand in for which outputs of the old one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import SwapRefused
from .probe import Feature


def choose_stages(features: Sequence[Feature], task: str, strides: Sequence[int]) -> tuple[list[int], list[str]]:
    """Chooses a stage for each old output, deeper ones for deeper ones.

    Args:
        features: Outputs of the old backbone, shallow to deep.
        task: 'classification', 'detection', 'pose' or 'segmentation'. A backbone in segmentation that ends at stride 8
            or 16 is a dilated one, and its last output becomes the last stage; elsewhere anchors or heatmaps depend on
            the stride, so it is kept.
        strides: Strides of the new backbone's stages, shallow to deep, such as (4, 8, 16, 32).

    Returns:
        Stage indices, and notes on the strides that change.

    Raises:
        SwapRefused: The outputs are no pyramid.
    """
    last = len(strides) - 1
    if task == 'classification' and len(features) == 1:
        return [last], []
    old = [f.stride for f in features]
    if any(f.ndim != 4 for f in features) or len(features) > len(strides):
        what = ', '.join(f'{f.ndim}-d of {f.channels} channels' for f in features)
        raise SwapRefused(f'the old backbone puts out {len(features)} things ({what}), for which there are no stages')
    plain = is_plain(features)
    if plain and old[0] < 8:
        raise SwapRefused(
            f'the old backbone puts out {len(old)} maps of one stride ({old[0]}); the new one has one of each stride'
        )
    if any(a > b for a, b in zip(old, old[1:])):
        raise SwapRefused(f"the old backbone's outputs are no pyramid: strides {old}")
    dilated = task == 'segmentation' and old[-1] < strides[-1]
    if plain or (dilated and len(old) == len(strides)):
        chosen = list(range(len(strides)))[-len(old) :]
    else:
        chosen = _nearest(old, strides)
        if dilated:
            chosen[-1] = last
        # Two old outputs may be nearest to one stage: each then takes one less deep than the next.
        for i in reversed(range(len(chosen))):
            chosen[i] = min(chosen[i], last if i == len(chosen) - 1 else chosen[i + 1] - 1)
    new = [strides[i] for i in chosen]
    if new == old:
        return chosen, []
    if plain:
        why = 'a plain transformer has one stride'
    elif dilated:
        why = f'the old backbone ended at stride {old[-1]}, dilated or by design; the new one ends at {strides[-1]}'
    else:
        why = f'the new backbone has {", ".join(map(str, strides))}'
    return chosen, [f'the maps now have strides {new} where they had {old} ({why})']


def is_plain(features: Sequence[Feature]) -> bool:
    """Whether a backbone puts out several maps of one stride, as a plain transformer does."""
    return len(features) > 1 and len({f.stride for f in features}) == 1


def _nearest(old: Sequence[int], strides: Sequence[int]) -> list[int]:
    """For each old stride the stage whose stride is nearest in powers of 2, and deeper than the one before."""
    chosen: list[int] = []
    for stride in old:
        distance = [abs(math.log2(s / max(stride, 1))) for s in strides]
        chosen.append(max([distance.index(min(distance)), *(i + 1 for i in chosen[-1:])]))
    return chosen
