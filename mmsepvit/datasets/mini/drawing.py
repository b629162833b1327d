"""Outlines, and the canvas that keeps image, classes and objects in step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:  # Python 3.10 has it
    from typing import TypeAlias

Outline: TypeAlias = np.ndarray
"""Corners (N, 2) of a filled shape; of an object: feet at y = 0, one unit high, x to both sides of 0."""

_SHIFT = 4  # OpenCV takes coordinates in 16ths of a pixel
_SOFT = 3  # pixels that a soft edge may reach


def box(left: float, bottom: float, right: float, top: float) -> Outline:
    return np.array([(left, bottom), (right, bottom), (right, top), (left, top)])


def ellipse(x: float, y: float, width: float, height: float, angle: float = 0.0) -> Outline:
    """An ellipse of two half axes, turned by an angle in degrees."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([width * np.cos(turn), height * np.sin(turn)], axis=1)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def limb(start: tuple[float, float], end: tuple[float, float], thick: float, thin: float) -> Outline:
    """A straight limb with round ends, of two radii."""
    ends = np.concatenate([ellipse(*start, thick, thick), ellipse(*end, thin, thin)])
    return cv2.convexHull(ends.astype(np.float32))[:, 0].astype(float)


class Canvas:
    """A picture under the brush.

    Args:
        height: Pixels down.
        width: Pixels across.

    Attributes:
        image: float32 (H, W, 3), red, green and blue from 0 to 1.
        labels: uint8 (H, W), the class index of each pixel.
        objects: uint8 (H, W), the number of the object at each pixel, 0 where there is none.
    """

    def __init__(self, height: int, width: int) -> None:
        self.image = np.zeros((height, width, 3), np.float32)
        self.labels = np.zeros((height, width), np.uint8)
        self.objects = np.zeros((height, width), np.uint8)

    def paint(
        self,
        corners: Outline,
        colours: np.ndarray,
        texture: np.ndarray | None = None,
        label: int | None = None,
        number: int = 0,
    ) -> None:
        """Covers the inside of an outline.

        Args:
            corners: The outline in pixels; it may reach beyond the picture.
            colours: One colour (3,), or those of all pixels (H, W, 3).
            texture: Factors (H, W) on them. Defaults to None.
            label: Class of its pixels. Defaults to None, which leaves class and object as they are.
            number: Object that its pixels belong to. Defaults to 0, none.
        """
        height, width = self.labels.shape
        left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - _SOFT, 0)
        right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + _SOFT, (width, height))
        if left >= right or top >= bottom:
            return
        part = slice(top, bottom), slice(left, right)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        points = np.round((corners - (left, top)) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [points], 1, shift=_SHIFT)
        edge = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
        surface = colours[part] if colours.ndim == 3 else colours
        if texture is not None:
            surface = surface * texture[part][..., None]
        self.image[part] += edge * (surface - self.image[part])
        if label is not None:
            self.labels[part][mask > 0] = label
            self.objects[part][mask > 0] = number
