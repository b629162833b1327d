"""Which of SepViT's stages stand in for which outputs of the old backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import SwapRefused
from .probe import Feature

STRIDES = (4, 8, 16, 32)


def nearest_stage(stride: int) -> int:
    """Index of the stage whose stride is nearest to ``stride``, in powers of 2."""
    return min(max(round(math.log2(max(stride, 1) / 4)), 0), len(STRIDES) - 1)


def choose_stages(features: Sequence[Feature], task: str) -> tuple[list[int], list[str]]:
    """Chooses a stage for each old output, deeper ones for deeper ones.

    Args:
        features: Outputs of the old backbone, shallow to deep.
        task: 'classification', 'detection' or 'segmentation'. In segmentation a backbone that ends at stride 8 or 16 is
            a dilated one, and its last output becomes SepViT's last; in detection the anchors hang on the stride.

    Returns:
        Stage indices, and notes on the strides that change.

    Raises:
        SwapRefused: The outputs are no pyramid.
    """
    if task == 'classification' and len(features) == 1:
        return [3], []
    strides = [f.stride for f in features]
    if any(f.ndim != 4 for f in features) or len(features) > len(STRIDES):
        what = ', '.join(f'{f.ndim}-d of {f.channels} channels' for f in features)
        raise SwapRefused(f'the old backbone puts out {len(features)} things ({what}), which SepViT has no stages for')
    plain = len(set(strides)) == 1 and len(strides) > 1
    if plain and strides[0] < 8:
        raise SwapRefused(
            f'the old backbone puts out {len(strides)} maps of one stride ({strides[0]}); SepViT has one of each stride'
        )
    if any(a > b for a, b in zip(strides, strides[1:])):
        raise SwapRefused(f"the old backbone's outputs are no pyramid: strides {strides}")
    dense_end = task == 'segmentation' and strides[-1] < STRIDES[-1]
    if plain or (dense_end and len(strides) == len(STRIDES)):
        chosen = list(range(len(STRIDES)))[-len(strides) :]
    else:
        chosen = []
        for stride in strides:
            chosen.append(max([nearest_stage(stride), *(i + 1 for i in chosen[-1:])]))
        if dense_end or chosen[-1] >= len(STRIDES):
            chosen[-1] = len(STRIDES) - 1
            for i in range(len(chosen) - 2, -1, -1):
                chosen[i] = min(chosen[i], chosen[i + 1] - 1)
    notes = []
    new = [STRIDES[i] for i in chosen]
    if new != strides:
        why = (
            'a plain transformer has one stride'
            if plain
            else f'the old backbone ended at stride {strides[-1]}, dilated or by design; SepViT ends at 32'
            if dense_end
            else 'SepViT has 4, 8, 16, 32'
        )
        notes.append(f'the maps now have strides {new} where they had {strides} ({why})')
    return chosen, notes
