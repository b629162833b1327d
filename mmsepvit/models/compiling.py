"""Whether the code runs under ``torch.compile``, which plans memory and copies by itself."""

from __future__ import annotations

import torch

# torch 2.1 has no torch.compiler.is_compiling, and later ones warn of torch._utils.is_compiling.
is_compiling = getattr(torch.compiler, 'is_compiling', None) or torch._utils.is_compiling
