"""What regions and objects look like: colours and random textures that tell the classes apart.

Textures are coarse enough to be seen after ``--mini`` has brought pictures to less than half of their size.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence

import cv2
import numpy as np

Shape = tuple[int, int]


def colour(rng: np.random.Generator, *ranges: Sequence[float]) -> np.ndarray:
    """A random colour (red, green, blue) from ranges (low, high) of hue, saturation and value."""
    hue, saturation, value = (rng.uniform(low, high) for low, high in ranges)
    return np.float32(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def field(rng: np.random.Generator, shape: Shape, along_x: float, along_y: float) -> np.ndarray:
    """Random waves, float32 (H, W) of mean 0 and deviation 1, whose size along each axis is given in pixels."""
    height, width = shape
    grid = (int(np.ceil(height / max(along_y, 1))) + 1, int(np.ceil(width / max(along_x, 1))) + 1)
    waves = cv2.resize(rng.standard_normal(grid, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return (waves - waves.mean()) / (waves.std() + 1e-9)


# Regions: colours float32 (H, W, 3) from the picture's shape, the row of its horizon and a colour of the region.


def _tinted(base: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    return (base * (1 + pattern[..., None])).astype(np.float32)


def _nearness(shape: Shape, horizon: float) -> np.ndarray:
    """0 at the horizon and above, 1 at the picture's foot, as (H, 1)."""
    return ((np.arange(shape[0])[:, None] - horizon) / (shape[0] - horizon)).clip(0, 1)


def _sky(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    haze = 0.5 * (np.arange(shape[0])[:, None, None] / horizon).clip(0, 1) ** 2
    clouds = 0.8 * (field(rng, shape, 60, 18) - rng.uniform(0.2, 1.6)).clip(0, 1)[..., None]
    sky = base + haze * (0.95 - base)
    return (sky + clouds * (0.97 - sky)).astype(np.float32)


def _mountain(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    slanted = np.float64([[1, 0.6, -40], [0, 1, 0]])
    folds = cv2.warpAffine(field(rng, shape, 9, 28), slanted, shape[::-1], borderMode=cv2.BORDER_REFLECT)
    snow = np.arange(shape[0])[:, None] + 5 * folds < rng.uniform(-0.2, 0.6) * horizon
    return np.where(snow[..., None], np.float32(0.93), _tinted(base, 0.22 * folds))


def _grass(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    blades = field(rng, shape, 3, 12) * (0.5 + _nearness(shape, horizon))
    return _tinted(base, 0.24 * blades + 0.06 * field(rng, shape, 24, 9))


def _sand(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    return _tinted(base, 0.04 * field(rng, shape, 2, 2) + 0.1 * field(rng, shape, 45, 9))


def _water(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    ripples = field(rng, shape, 26, 5)
    surface = _tinted(base, 0.14 * ripples + 0.15 * (1 - _nearness(shape, horizon)))
    return np.where(ripples[..., None] > 1.9, np.float32(0.95), surface)


def _road(rng: np.random.Generator, shape: Shape, horizon: float, base: np.ndarray) -> np.ndarray:
    middle = shape[0] - (shape[0] - horizon) * rng.uniform(0.2, 0.4)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    dashes = (np.abs(rows - middle) < 3) & (columns // 24 % 2 == 0)
    return np.where(dashes[..., None], np.float32([0.95, 0.93, 0.8]), _tinted(base, 0.16 * field(rng, shape, 3, 3)))


REGION_TEXTURES = {
    'sky': _sky,
    'mountain': _mountain,
    'grass': _grass,
    'sand': _sand,
    'water': _water,
    'road': _road,
}
# Hue, saturation and value of regions, as season, weather and hour make them: natural, and for most of them much the
# same as those of some other region, so that a colour alone does not tell what it is of.
REGION_COLOURS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    'sky': (
        ((0.54, 0.62), (0.25, 0.6), (0.7, 0.98)),
        ((0.5, 0.65), (0.0, 0.15), (0.45, 0.9)),
        ((0.0, 0.1), (0.2, 0.5), (0.65, 0.95)),
    ),
    'mountain': (
        ((0.05, 0.12), (0.1, 0.4), (0.35, 0.65)),
        ((0.55, 0.65), (0.08, 0.3), (0.4, 0.7)),
        ((0.2, 0.36), (0.15, 0.5), (0.25, 0.5)),
    ),
    'grass': (
        ((0.2, 0.34), (0.4, 0.75), (0.25, 0.6)),
        ((0.1, 0.18), (0.3, 0.55), (0.45, 0.75)),
        ((0.05, 0.12), (0.2, 0.45), (0.35, 0.65)),
    ),
    'sand': (
        ((0.09, 0.14), (0.2, 0.5), (0.6, 0.95)),
        ((0.03, 0.08), (0.3, 0.55), (0.45, 0.75)),
        ((0.0, 1.0), (0.0, 0.1), (0.45, 0.8)),
    ),
    'water': (
        ((0.5, 0.62), (0.35, 0.7), (0.35, 0.75)),
        ((0.35, 0.6), (0.0, 0.25), (0.4, 0.75)),
        ((0.15, 0.35), (0.2, 0.5), (0.3, 0.6)),
    ),
    'road': (
        ((0.0, 1.0), (0.0, 0.08), (0.25, 0.65)),
        ((0.02, 0.12), (0.15, 0.4), (0.35, 0.7)),
    ),
}


def region(rng: np.random.Generator, shape: Shape, horizon: float, name: str) -> np.ndarray:
    """A surface for a region: float32 (H, W, 3) over the whole picture."""
    choices = REGION_COLOURS[name]
    return REGION_TEXTURES[name](rng, shape, horizon, colour(rng, *choices[int(rng.integers(len(choices)))]))


# Objects: factors (H, W) on their colours, from the picture's shape and the object's size in pixels.


def _stripes(rng: np.random.Generator, shape: Shape, size: float) -> np.ndarray:
    columns = np.arange(shape[1])[None, :]
    wave = np.sin(columns * 2 * np.pi * 8 / size + 0.9 * field(rng, shape, size / 8, size / 3))
    return np.where(wave > -0.1, 1.0, 0.1)


def _spots(depth: float, grain: float) -> Callable[..., np.ndarray]:
    """Light and dark spots of a size that is a part of the object's."""
    return lambda rng, shape, size: 1 + depth * field(rng, shape, grain * size, grain * size)


def _bricks(rng: np.random.Generator, shape: Shape, size: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    joint = (rows % 9 < 2) | ((columns + 9 * (rows // 9 % 2)) % 18 < 2)
    return 1 - 0.25 * joint + 0.05 * field(rng, shape, 4, 3)


def _tiles(rng: np.random.Generator, shape: Shape, size: float) -> np.ndarray:
    return 1 + 0.25 * (np.arange(shape[0])[:, None] % 8 < 3) + 0.08 * field(rng, shape, 3, 3)


OBJECT_TEXTURES = {
    'stripes': _stripes,
    'wool': _spots(0.15, 0.1),
    'leaves': _spots(0.32, 0.05),
    'hide': _spots(0.07, 0.12),
    'bricks': _bricks,
    'tiles': _tiles,
}
