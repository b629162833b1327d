"""Smooth random fields built from +, -, *, / and floor alone.

Those operations are exact to the last bit in IEEE arithmetic, while sin, exp and pow differ between
numpy builds; generated files must not.
"""

from __future__ import annotations

import numpy as np

_PERIOD = 64


def wave(phase: np.ndarray | float) -> np.ndarray:
    """A sine-like wave of period 1 and amplitude 1, made of parabolas."""
    phase = np.asarray(phase, dtype=np.float64)
    t = phase - np.floor(phase)
    half = np.where(t < 0.5, t, t - 0.5)
    return np.where(t < 0.5, 1.0, -1.0) * 8.0 * half * (1.0 - 2.0 * half)


def smoothstep(t: np.ndarray | float) -> np.ndarray:
    """Clamp to [0, 1] and ease in and out."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


class Noise:
    """Value noise on a random lattice that repeats every 64 cells.

    Args:
        rng: Source of the lattice; 4096 numbers are drawn.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        lattice = rng.random((_PERIOD, _PERIOD))
        # One row and column more than a period, so that the right and lower neighbours of a cell
        # are at fixed distances in the flat table.
        self._table = np.pad(lattice, ((0, 1), (0, 1)), mode='wrap').ravel()

    def __call__(self, u: np.ndarray, v: np.ndarray, offset: float = 0.0) -> np.ndarray:
        """Evaluate at points given in lattice cells.

        Args:
            u: Horizontal coordinates, any shape that broadcasts with ``v``.
            v: Vertical coordinates.
            offset: Moves the lattice, so that one object serves several independent fields.

        Returns:
            Values in [0, 1) of the broadcast shape.
        """
        u = np.asarray(u, dtype=np.float64) + offset * 7.31
        v = np.asarray(v, dtype=np.float64) + offset * 3.77
        floor_u, floor_v = np.floor(u), np.floor(v)
        weight_u, weight_v = u - floor_u, v - floor_v
        weight_u = weight_u * weight_u * (3.0 - 2.0 * weight_u)
        weight_v = weight_v * weight_v * (3.0 - 2.0 * weight_v)
        stride = _PERIOD + 1
        cell = (floor_v.astype(np.int64) % _PERIOD) * stride + floor_u.astype(np.int64) % _PERIOD
        corner = self._table.take(cell)
        upper = corner + (self._table.take(cell + 1) - corner) * weight_u
        corner = self._table.take(cell + stride)
        lower = corner + (self._table.take(cell + stride + 1) - corner) * weight_u
        return upper + (lower - upper) * weight_v

    def fractal(self, u: np.ndarray, v: np.ndarray, octaves: int = 3, offset: float = 0.0) -> np.ndarray:
        """Sum of octaves, each of half the size and half the strength, in [0, 1)."""
        total, weight, norm = 0.0, 1.0, 0.0
        for octave in range(octaves):
            scale = float(2**octave)
            total = total + weight * self(u * scale, v * scale, offset + 1.7 * octave)
            norm += weight
            weight *= 0.5
        return total / norm
