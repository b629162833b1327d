"""What mmengine's training loop gets from this project: precision, repeatable draws, the runner."""

from __future__ import annotations

from .drawing import FirstViewHook
from .precision import CpuAmpOptimWrapper, Float32BoxesHook
from .randomness import SeedStepHook

__all__ = ['CpuAmpOptimWrapper', 'FirstViewHook', 'Float32BoxesHook', 'SeedStepHook']
