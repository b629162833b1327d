"""Primitive shapes of the drawn objects, as signed distances.

An own rasteriser, because the ones in drawing libraries move by a pixel from release to release
and generated files must not. Coordinates are those of the object: x to the right, y up, feet at
y = 0, and one unit is the object's height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ellipse:
    """Axis-aligned ellipse round (cx, cy) with radii rx and ry."""

    cx: float
    cy: float
    rx: float
    ry: float

    def bounds(self) -> tuple[float, float, float, float]:
        """Return (x min, y min, x max, y max)."""
        return self.cx - self.rx, self.cy - self.ry, self.cx + self.rx, self.cy + self.ry

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the approximate signed distance of points, negative inside."""
        u, v = (x - self.cx) / self.rx, (y - self.cy) / self.ry
        return (np.sqrt(u * u + v * v) - 1.0) * min(self.rx, self.ry)


@dataclass(frozen=True)
class Limb:
    """A rounded stroke from (x0, y0) with radius r0 to (x1, y1) with radius r1."""

    x0: float
    y0: float
    r0: float
    x1: float
    y1: float
    r1: float

    def bounds(self) -> tuple[float, float, float, float]:
        """Return (x min, y min, x max, y max)."""
        return (
            min(self.x0 - self.r0, self.x1 - self.r1),
            min(self.y0 - self.r0, self.y1 - self.r1),
            max(self.x0 + self.r0, self.x1 + self.r1),
            max(self.y0 + self.r0, self.y1 + self.r1),
        )

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the signed distance of points, negative inside."""
        dx, dy = self.x1 - self.x0, self.y1 - self.y0
        length = max(dx * dx + dy * dy, 1e-9)
        t = np.clip(((x - self.x0) * dx + (y - self.y0) * dy) / length, 0.0, 1.0)
        u, v = x - self.x0 - t * dx, y - self.y0 - t * dy
        return np.sqrt(u * u + v * v) - (self.r0 + t * (self.r1 - self.r0))


@dataclass(frozen=True)
class Polygon:
    """A simple polygon, convex or not, with its corners in order."""

    points: tuple[tuple[float, float], ...]

    def bounds(self) -> tuple[float, float, float, float]:
        """Return (x min, y min, x max, y max)."""
        xs, ys = [p[0] for p in self.points], [p[1] for p in self.points]
        return min(xs), min(ys), max(xs), max(ys)

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the signed distance of points, negative inside (even-odd rule)."""
        shape = np.broadcast_shapes(np.shape(x), np.shape(y))
        nearest = np.full(shape, np.inf)
        inside = np.zeros(shape, dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:] + self.points[:1]):
            dx, dy = x1 - x0, y1 - y0
            length = max(dx * dx + dy * dy, 1e-12)
            t = np.clip(((x - x0) * dx + (y - y0) * dy) / length, 0.0, 1.0)
            u, v = x - x0 - t * dx, y - y0 - t * dy
            nearest = np.minimum(nearest, u * u + v * v)
            if dy != 0.0:
                crossing = (y0 <= y) != (y1 <= y)
                inside ^= crossing & (x < x0 + (y - y0) * (dx / dy))
        nearest = np.sqrt(nearest)
        return np.where(inside, -nearest, nearest)


Shape = (Ellipse, Limb, Polygon)


def box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """An axis-aligned rectangle."""
    return Polygon(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def chain(points: list[tuple[float, float]], r0: float, r1: float) -> list[Limb]:
    """Limbs through ``points`` whose radius goes from r0 to r1."""
    count = len(points) - 1
    radii = [r0 + (r1 - r0) * i / count for i in range(count + 1)]
    return [
        Limb(*points[i], radii[i], *points[i + 1], radii[i + 1])
        for i in range(count)
        if math.dist(points[i], points[i + 1]) > 0.0
    ]
