"""The golden files' rule: fixed weights and images, and what the published model computes from them.

`tests/data/*.npz` hold values of the published implementation (float64); see the file names for kind, size and batch.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parent / 'data'
KEYS: dict[str, dict[str, list[int]]] = json.loads((DATA / 'official_state_dict_keys.json').read_text())


@dataclass(frozen=True)
class Case:
    """One golden file."""

    path: Path
    kind: str  # 'classification' or 'dense'
    arch: str
    size: tuple[int, int]
    batch: int

    def __str__(self) -> str:
        return self.path.stem


def cases() -> list[Case]:
    """All golden files, in the order of their names."""
    found = []
    for path in sorted(DATA.glob('*.npz')):
        kind, _, arch, size, batch = path.stem.split('_')
        height, width = map(int, size.split('x'))
        found.append(Case(path, kind, arch, (height, width), int(batch[1:])))
    return found


@lru_cache(maxsize=1)
def official_weights(kind: str, arch: str) -> dict[str, Tensor]:
    """The published model's state dict (float64), each tensor drawn from its name."""
    weights = {}
    for key, shape in KEYS[f'{kind}/SepViT_{arch.capitalize()}'].items():
        value = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
        if key.endswith(('.bias', 'win_tokens')):
            value = 0.1 * value
        elif len(shape) == 1:
            value = 1 + 0.1 * value
        else:
            value = value / np.sqrt(np.prod(shape[1:]))
        weights[key] = torch.from_numpy(value)
    return weights


def image(size: tuple[int, int], batch: int) -> Tensor:
    """The image (batch, 3, height, width) of a size, float64."""
    height, width = size
    return torch.from_numpy(np.random.default_rng(height * 10000 + width).standard_normal((batch, 3, height, width)))


def loss(outs: list[Tensor]) -> Tensor:
    """A scalar that depends on every value of the outputs."""
    weights = [np.random.default_rng(100 + i).standard_normal(out.shape) for i, out in enumerate(outs)]
    return sum((out * torch.from_numpy(weight).to(out)).mean() for out, weight in zip(outs, weights))
