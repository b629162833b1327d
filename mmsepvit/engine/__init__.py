"""What mmengine's training loop gets from this project: precision, repeatable draws, safe saving, the runner."""

from __future__ import annotations

from .drawing import FirstViewHook
from .layer_decay import LayerDecayOptimWrapperConstructor
from .non_finite import NonFiniteHook
from .precision import CpuAmpOptimWrapper, Float32BoxesHook
from .randomness import SeedStepHook
from .saving import SafeCheckpointHook

__all__ = [
    'CpuAmpOptimWrapper',
    'FirstViewHook',
    'Float32BoxesHook',
    'LayerDecayOptimWrapperConstructor',
    'NonFiniteHook',
    'SafeCheckpointHook',
    'SeedStepHook',
]
