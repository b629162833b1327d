"""Less memory traffic in inference: what treats each token by itself runs on as many as the caches hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_TOKENS = 1024  # of a piece: with fewer, products read their weights too often
_WHOLE = 8 * 2**20  # bytes that may as well go through the caches at once


def add_by_pieces(branch: Callable[[Tensor], Tensor], x: Tensor, width: int) -> Tensor:
    """``x + branch(x)``, of some tokens at a time where the map is large.

    Between two layers a large map would go out to memory and come back, mostly in pages that the system first clears.

    Args:
        branch: What to compute, of each token by itself and without gradients: (..., C) -> (..., C).
        x: Map (B, H, W, C), contiguous.
        width: Values that the branch makes of a token in between, at most.

    Returns:
        Map, as it came.
    """
    tokens = x.flatten(0, 2)  # (B*H*W, C)
    if tokens.shape[0] * width * x.element_size() <= _WHOLE:
        return x + branch(x)
    out = torch.empty_like(tokens)
    for piece, result in zip(tokens.split(_TOKENS), out.split(_TOKENS)):
        torch.add(piece, branch(piece), out=result)
    return out.view_as(x)
