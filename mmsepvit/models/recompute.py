"""Less memory for training: what is cheap to compute a second time is not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from .compiling import is_compiling


def recompute(function: Callable[..., Any], *args: Any, random: bool = False) -> Any:
    """``function(*args)``, of which the backward pass keeps the arguments alone and computes the rest again.

    It computes up to the last value that it needs: of a function that ends in a linear layer, all but that layer.
    Compilers choose by themselves what to keep, so there it is a plain call.

    Args:
        function: What to compute, from tensors.
        *args: Its arguments, a tensor first.
        random: Whether it draws random numbers, which must come out again. Defaults to False.

    Returns:
        What the function returns.
    """
    # Nothing to save on the meta device, where torch 2.1 cannot recompute.
    if not torch.is_grad_enabled() or is_compiling() or args[0].is_meta:
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=random)
