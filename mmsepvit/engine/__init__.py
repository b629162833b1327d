"""Training and testing through mmengine: what ``tools/`` is a thin command line over."""

from __future__ import annotations

from .precision import CpuAmpOptimWrapper, Float32RoIHook
from .randomness import SeedStepHook
from .testing import DumpSegResults

__all__ = ['CpuAmpOptimWrapper', 'DumpSegResults', 'Float32RoIHook', 'SeedStepHook']
