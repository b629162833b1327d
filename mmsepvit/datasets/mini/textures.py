"""What surfaces look like close up: the cue that tells classes apart when colours do not.

Each texture returns a brightness factor and the share of the region's second colour.
"""

from __future__ import annotations

import numpy as np

from .noise import Noise, smoothstep, wave
from .scene import Ground, Scene

Field = tuple[np.ndarray, np.ndarray]


def ground_texture(
    ground: Ground, scene: Scene, noise: Noise, x: np.ndarray, y: np.ndarray, depth: np.ndarray
) -> Field:
    """Texture of a ground region.

    Args:
        ground: The region.
        scene: The scene that it belongs to.
        noise: Source of randomness.
        x: Pixel columns.
        y: Pixel rows.
        depth: 0 at the horizon to 1 at the lower edge of the picture.

    Returns:
        Brightness factor and share of the second colour, both of the shape of ``x``.
    """
    if ground.name == 'grass':
        # Upright blades. Fine ones fade into coarse ones towards the viewer: scaling a single
        # field with depth would bend them into a fan.
        fine, coarse = noise(x / 2.0, y / 5.0, 51.0), noise(x / 4.0, y / 12.0, 58.0)
        blades = fine + (coarse - fine) * (0.15 + 0.75 * depth)
        tufts = noise(x / 13.0, y / 9.0, 52.0)
        return 0.5 + 0.85 * blades + 0.25 * (tufts - 0.5), smoothstep(tufts * 1.6 - 0.3)
    grain = 0.5 + depth
    if ground.name == 'sand':
        speckle = noise(x, y, 53.0)
        bend = 1.3 * noise(x / 26.0, y / 14.0, 54.0)
        ripples = wave(y / (11.0 * grain) + bend)
        return 0.95 + 0.14 * (speckle - 0.5) + 0.1 * ripples, 0.5 + 0.35 * ripples
    if ground.name == 'water':
        swell = noise(x / 34.0, y / (3.5 * grain), 55.0)
        chop = noise(x / 12.0, y / (2.0 * grain), 56.0)
        glint = smoothstep((swell * 0.5 + chop * 0.5 - 0.58) * 9.0)
        return 0.6 + 0.3 * swell + 0.35 * chop + 0.6 * glint, chop
    return _road(ground, noise, x, y, x / scene.width, depth)


def _road(
    ground: Ground,
    noise: Noise,
    x: np.ndarray,
    y: np.ndarray,
    across: np.ndarray,
    depth: np.ndarray,
) -> Field:
    """Smooth, with light edges and a broken line along the middle."""
    if ground.kind == 'lane':
        far_x, near_x, near_half, far_half = ground.params
        half = far_half + (near_half - far_half) * depth
        place = (across - far_x - (near_x - far_x) * depth) / half
        along = 1.4 / (depth + 0.12)
    else:
        near, far, slope = ground.params
        place = (depth - slope * (across - 0.5) - (near + far) / 2.0) / ((near - far) / 2.0)
        along = across * 5.0
    edge = (np.abs(place) > 0.84) & (np.abs(place) < 0.94)
    dash = (np.abs(place) < 0.05) & (along - np.floor(along) < 0.55)
    wear = 0.06 * (noise(x / 1.2, y / 1.2, 57.0) - 0.5)
    return np.where(edge | dash, 1.6, 0.97 + wear), np.zeros_like(x)


def object_texture(name: str, noise: Noise, x: np.ndarray, y: np.ndarray, number: int) -> Field:
    """Texture of a part of a standing object.

    Args:
        name: Name of the texture.
        noise: Source of randomness.
        x: Object coordinates to the right, in units of its height.
        y: Object coordinates upwards.
        number: Number of the object, so that two of a kind differ.

    Returns:
        Brightness factor and share of the second colour, both of the shape of ``x``.
    """
    offset = 60.0 + number
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    if name == 'leaf':
        clumps = noise.fractal(x * 12.0, y * 12.0, 2, offset)
        return 0.5 + clumps, smoothstep((0.55 - clumps) * 5.0)
    if name == 'bark':
        return 0.7 + 0.6 * noise(x * 60.0, y * 8.0, offset), zeros
    if name == 'wool':
        curls = noise(x * 11.0, y * 11.0, offset)
        return 0.7 + 0.6 * curls, smoothstep((0.45 - curls) * 3.0)
    if name == 'hide':
        folds = noise(x * 7.0, y * 14.0, offset)
        return 0.85 + 0.3 * folds, smoothstep(folds * 1.2 - 0.3) * 0.6
    if name == 'stripes':
        bend = 0.7 * noise(x * 4.0, y * 4.0, offset)
        return ones, smoothstep((wave(x * 4.6 + y * 1.2 + bend) - 0.05) * 4.0 + 0.5)
    if name == 'bricks':
        row = np.floor(y * 26.0)
        shifted = x * 13.0 + 0.5 * (row - 2.0 * np.floor(row / 2.0))
        joint = (y * 26.0 - row < 0.22) | (shifted - np.floor(shifted) < 0.14)
        return 0.95 + 0.1 * noise(shifted, y * 26.0, offset), np.where(joint, 0.6, 0.0)
    if name == 'tiles':
        row = y * 24.0
        return ones, 0.7 * (row - np.floor(row))
    if name == 'metal':
        return 0.95 + 0.15 * smoothstep((y - 0.5) * 5.0), 0.4 * smoothstep((0.45 - y) * 6.0)
    if name == 'cloth':
        return 0.9 + 0.2 * noise(x * 12.0, y * 9.0, offset), zeros
    return ones, zeros
