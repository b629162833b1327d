"""Training and testing through mmengine: what ``tools/`` is a thin command line over."""

from __future__ import annotations

from .precision import CpuAmpOptimWrapper, Float32BoxesHook
from .randomness import SeedStepHook
from .testing import DumpSegResults

__all__ = ['CpuAmpOptimWrapper', 'DumpSegResults', 'Float32BoxesHook', 'SeedStepHook']
