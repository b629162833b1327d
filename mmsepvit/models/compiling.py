"""Whether the code runs by itself, or is being written down for another to run: a compiler, or an exporter."""

from __future__ import annotations

import torch
from torch import Tensor

# torch 2.1 has no torch.compiler.is_compiling, and later ones warn of torch._utils.is_compiling.
_is_dynamo_compiling = getattr(torch.compiler, 'is_compiling', None) or torch._utils.is_compiling


def is_compiling() -> bool:
    """Whether ``torch.compile``, ``torch.export`` or a trace (``torch.jit``, ONNX) looks on.

    They plan memory and copies by themselves, and know PyTorch's operators, not the buffers that we fill.
    """
    return _is_dynamo_compiling() or torch.jit.is_tracing()


def is_eager_on_cpu(x: Tensor) -> bool:
    """Whether a tensor's numbers are computed now, by a CPU."""
    return x.device.type == 'cpu' and not is_compiling()
