"""Less memory for training: an activation that is cheap to compute a second time is not kept for the backward pass.

This is all that is not said in plain operators. It changes no number, and `KEEP_ALL` switches it off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

KEEP_ALL = False
"""Whether every activation is kept: faster by the cost of a GELU a block, for about a quarter more memory."""

# torch 2.1 has no torch.compiler.is_compiling, and later ones warn of torch._utils.is_compiling.
_is_compiling = getattr(torch.compiler, 'is_compiling', None) or torch._utils.is_compiling


def recomputed(function: Callable[[Tensor], Tensor], source: Tensor, result: Tensor) -> AbstractContextManager[Any]:
    """Inside this context, a layer that would keep a tensor for its backward pass computes it again there.

    Args:
        function: What makes the tensor; it draws no random numbers.
        source: What the tensor is made from, which the backward pass of ``function`` keeps in any case.
        result: The tensor, ``function(source)``.

    Returns:
        The context, which does nothing where there is no backward pass to keep a tensor for, or where a compiler, an
        exporter or a transform of ``torch.func`` decides what is kept.
    """
    if KEEP_ALL or not source.requires_grad or not _runs_now(source):
        return contextlib.nullcontext()
    pointer = result.data_ptr()

    def pack(kept: Tensor) -> Tensor | torch.Size:
        is_result = kept.data_ptr() == pointer and kept.numel() == result_numel
        return kept.shape if is_result else kept

    def unpack(packed: Tensor | torch.Size) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        with torch.no_grad():
            return function(source).view(packed)

    result_numel = result.numel()
    return saved_tensors_hooks(pack, unpack)


def _runs_now(x: Tensor) -> bool:
    """Whether a tensor is computed as the code runs, by an ordinary backend with an ordinary backward pass."""
    if _is_compiling() or torch.jit.is_tracing() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return x.device.type in ('cpu', 'cuda') and type(x) is Tensor and torch.is_grad_enabled()
