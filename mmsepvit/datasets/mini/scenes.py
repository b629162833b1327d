"""What is in a generated picture, and how it is painted: a function of a seed and a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field as dataclass_field

import cv2
import numpy as np

from . import objects
from .classes import CLASS_NAMES
from .drawing import Canvas, colour, ellipse, field

SIZES = ((192, 256), (192, 240), (208, 256), (224, 192))
"""(height, width) of the pictures; the real data sets mix sizes too."""

_THINGS: dict[str, tuple[Callable[[np.random.Generator], list[objects.Part]], tuple[float, float]]] = {
    # what draws it, and its height as a part of the picture's
    'clutter': (objects.rock, (0.1, 0.18)),
    'building': (objects.building, (0.5, 0.75)),
    'tree': (objects.tree, (0.5, 0.85)),
    'person': (objects.person, (0.4, 0.7)),
    'car': (objects.car, (0.2, 0.28)),
    'sheep': (objects.sheep, (0.25, 0.38)),
    'elephant': (objects.elephant, (0.36, 0.52)),
    'zebra': (objects.zebra, (0.34, 0.48)),
}
_NEAR = ('person', 'car', 'sheep', 'elephant', 'zebra')
_FAR = ('building', 'tree')
# hue, saturation and value of regions: the usual one first, then what the weather and the season make of it
_COLOURS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    'sky': (((0.54, 0.62), (0.25, 0.6), (0.75, 0.98)), ((0.5, 0.65), (0.0, 0.12), (0.6, 0.9)), ((0.0, 0.1), (0.2, 0.5), (0.75, 0.95))),
    'mountain': (((0.05, 0.12), (0.1, 0.35), (0.35, 0.6)), ((0.55, 0.65), (0.08, 0.25), (0.4, 0.65)), ((0.22, 0.36), (0.15, 0.4), (0.25, 0.45))),
    'grass': (((0.2, 0.31), (0.45, 0.75), (0.4, 0.65)), ((0.12, 0.18), (0.3, 0.55), (0.5, 0.75))),
    'sand': (((0.09, 0.13), (0.2, 0.45), (0.7, 0.95)), ((0.03, 0.08), (0.3, 0.55), (0.55, 0.8))),
    'water': (((0.5, 0.62), (0.35, 0.7), (0.35, 0.75)), ((0.4, 0.6), (0.1, 0.3), (0.4, 0.7))),
    'road': (((0.0, 1.0), (0.0, 0.08), (0.28, 0.6)), ((0.06, 0.12), (0.1, 0.25), (0.4, 0.6))),
}


@dataclass
class Picture:
    """A generated picture with all that is known of it.

    Attributes:
        image: uint8 (H, W, 3), red, green and blue.
        labels: uint8 (H, W), indices into :data:`~mmsepvit.datasets.mini.classes.CLASS_NAMES`.
        objects: uint8 (H, W), the number of the object at each pixel, 0 where there is none.
        things: Class index and whether it is a crowd of object 1, 2, ...
    """

    image: np.ndarray
    labels: np.ndarray
    objects: np.ndarray
    things: list[tuple[int, bool]] = dataclass_field(default_factory=list)


def draw_scene(seed: int, index: int, focus: str | None = None) -> Picture:
    """Draws a picture.

    Args:
        seed: Seed of the whole data set, 0 or more.
        index: Number of the picture, 0 or more.
        focus: Class that the picture is of, the only object or the largest region. Defaults to None: a whole scene.

    Returns:
        The picture, the same for the same arguments.
    """
    return _Scene(np.random.default_rng([seed, index, 1 + CLASS_NAMES.index(focus) if focus else 0])).draw(focus)


class _Scene:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._height, self._width = SIZES[int(rng.integers(len(SIZES)))]
        self._canvas = Canvas(self._height, self._width)
        self._horizon = self._height * rng.uniform(0.3, 0.5)
        self._sun = rng.uniform(-1.0, 1.0)
        self._things: list[tuple[int, bool]] = []

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def draw(self, focus: str | None) -> Picture:
        kinds = ('meadow', 'street', 'beach', 'lake', 'desert')
        kind = {'water': 'beach', 'mountain': 'lake'}.get(focus or '') or kinds[int(self._rng.integers(len(kinds)))]
        self._backdrop(kind, focus)
        if focus is None:
            self._populate(kind)
        elif focus in _THINGS:
            x = self._width * self._rng.uniform(0.4, 0.6)
            self._stand(focus, x, self._height * self._rng.uniform(0.86, 0.97), self._rng.uniform(1.2, 1.5))
        return Picture(self._developed(), self._canvas.labels, self._canvas.objects, self._things)

    def _backdrop(self, kind: str, focus: str | None) -> None:
        """Sky, mountains and ground."""
        height, width, horizon = self._height, self._width, self._horizon
        if focus == 'water':
            self._horizon = horizon = 0.25 * height
        if focus == 'mountain':
            self._horizon = horizon = 0.6 * height
        self._region('sky', np.array([(-9, -9), (width + 9, -9), (width + 9, horizon + 2), (-9, horizon + 2)]))
        if focus == 'mountain' or (focus is None and self._chance(0.4)):
            x = np.linspace(-5, width + 5, 12)
            peaks = horizon * (1 - self._rng.uniform(0.15, 0.75, len(x)) * (1.2 if focus else 1.0))
            self._region('mountain', np.array([*zip(x, peaks), (width + 9, horizon + 2), (-9, horizon + 2)]))
        ground = {'beach': 'sand', 'desert': 'sand', 'street': 'road'}.get(kind, 'grass')
        self._region(ground, self._from(0.0))
        if kind in ('beach', 'lake'):
            self._region('water', self._from(0.0))
            shore = self._rng.uniform(0.6, 0.85) if focus == 'water' else self._rng.uniform(0.3, 0.5)
            self._region(ground, self._from(0.15 if focus == 'mountain' else shore, waves=4.0))
        elif kind == 'street':
            self._region('grass' if self._chance(0.6) else 'sand', self._from(0.0))
            self._region('road', self._from(self._rng.uniform(0.2, 0.4)))
        elif self._chance(0.3):  # a road into the distance
            far, near = self._rng.uniform(0.2, 0.8, 2) * width
            spread = self._rng.uniform(0.2, 0.35) * width
            corners = [(far - 4, horizon), (far + 4, horizon), (near + spread, height + 9), (near - spread, height + 9)]
            self._region('road', np.array(corners))

    def _from(self, depth: float, waves: float = 0.0) -> np.ndarray:
        """The ground from a depth, 0 at the horizon and 1 at the picture's foot, on; its edge may be wavy."""
        x = np.linspace(-9, self._width + 9, 24)
        y = self._horizon + depth * (self._height - self._horizon)
        edge = y + waves * np.sin(x / self._width * self._rng.uniform(3, 9) + self._rng.uniform(0, 6))
        return np.array([*zip(x, edge), (self._width + 9, self._height + 9), (-9, self._height + 9)])

    def _region(self, name: str, corners: np.ndarray) -> None:
        choices = _COLOURS[name]
        base = colour(self._rng, *choices[0 if self._chance(0.6) else int(self._rng.integers(len(choices)))])
        self._canvas.paint(corners, _REGION_TEXTURES[name](self, base), CLASS_NAMES.index(name))

    def _populate(self, kind: str) -> None:
        """Puts buildings and trees at the back and animals, people and cars before them."""
        rng, width, depth = self._rng, self._width, self._height - self._horizon
        back = self._horizon + (0.5 if kind in ('beach', 'lake') else 0.15) * depth
        places: list[tuple[float, str, float]] = []
        slots = rng.permutation(3)[: int(rng.integers(1, 3))]
        for slot in slots:
            places.append((back + rng.uniform(0, 0.1) * depth, str(rng.choice(_FAR)), (slot + rng.uniform(0.3, 0.7)) / 3))
        for slot in rng.permutation(3)[: int(rng.integers(1, 4))]:
            name = 'car' if kind == 'street' and self._chance(0.5) else str(rng.choice(_NEAR))
            places.append((self._height - rng.uniform(0.03, 0.35) * depth, name, (slot + rng.uniform(0.3, 0.7)) / 3))
        if self._chance(0.2):
            places.append((self._height - rng.uniform(0.02, 0.3) * depth, 'clutter', rng.random()))
        if self._chance(0.12):
            self._flock(back + 0.1 * depth)
        for y, name, x in sorted(places):
            # what is nearer is larger
            self._stand(name, x * width, y, 0.7 + 0.4 * (y - self._horizon) / depth if name in _NEAR else 1.0)

    def _flock(self, y: float) -> None:
        """Sheep so far away that annotators take them for one crowd."""
        self._things.append((CLASS_NAMES.index('sheep'), True))
        start = self._rng.uniform(0.1, 0.6) * self._width
        for i in range(int(self._rng.integers(4, 7))):
            self._put('sheep', start + 13 * i, y + self._rng.uniform(-3, 5), 0.09 * self._height, len(self._things))

    def _stand(self, name: str, x: float, y: float, zoom: float) -> None:
        """An object on the ground, with its shadow."""
        number = 0
        if name not in ('clutter', *_FAR):
            self._things.append((CLASS_NAMES.index(name), False))
            number = len(self._things)
        size = zoom * self._height * self._rng.uniform(*_THINGS[name][1])
        self._put(name, x, y, size, number)

    def _put(self, name: str, x: float, y: float, size: float, number: int) -> None:
        rng, canvas = self._rng, self._canvas
        parts = _THINGS[name][0](rng)
        mirror = -1.0 if self._chance(0.5) else 1.0
        half = max(abs(part.outline[:, 0]).max() for part in parts)
        shadow = ellipse(x + 0.15 * size * self._sun, y, 0.9 * half * size, 0.05 * size)
        canvas.paint(shadow, 0.55 * canvas.image)
        textures = {
            name: _OBJECT_TEXTURES[name](rng, canvas.labels.shape, size)[..., None]
            for name in dict.fromkeys(part.texture for part in parts if part.texture)
        }
        for part in parts:
            corners = part.outline * (mirror * size, -size) + (x, y)
            surface = part.colour * textures.get(part.texture, np.float32(1))
            canvas.paint(corners, surface.astype(np.float32), CLASS_NAMES.index(name), number)

    def _developed(self) -> np.ndarray:
        """What a camera makes of the canvas: light, a cast, noise."""
        rng = self._rng
        across = np.linspace(-1, 1, self._width)[None, :, None]
        image = self._canvas.image * (1 + 0.1 * self._sun * across) * rng.uniform(0.8, 1.1) * rng.uniform(0.94, 1.06, 3)
        image += rng.uniform(0.005, 0.025) * rng.standard_normal(image.shape, np.float32)
        return np.round(255 * image.clip(0, 1)).astype(np.uint8)

    # Surfaces of regions, (H, W, 3) from a colour.

    def _down(self) -> np.ndarray:
        """Nearness of each row, 0 at the horizon and 1 at the foot, as (H, 1)."""
        rows = np.arange(self._height)[:, None]
        return ((rows - self._horizon) / (self._height - self._horizon)).clip(0, 1)

    def _tinted(self, base: np.ndarray, pattern: np.ndarray) -> np.ndarray:
        return (base * (1 + pattern[..., None])).astype(np.float32)

    def sky(self, base: np.ndarray) -> np.ndarray:
        pale = (np.arange(self._height)[:, None, None] / self._horizon).clip(0, 1) ** 2 * 0.5
        clouds = (field(self._rng, self._canvas.labels.shape, 40, 14) - self._rng.uniform(0.2, 1.6)).clip(0, 1)[..., None]
        sky = base + pale * (0.95 - base)
        return (sky + 0.8 * clouds * (0.97 - sky)).astype(np.float32)

    def mountain(self, base: np.ndarray) -> np.ndarray:
        folds = field(self._rng, self._canvas.labels.shape, 5, 16)
        turned = cv2.warpAffine(folds, np.float64([[1, 0.6, -40], [0, 1, 0]]), folds.shape[::-1], borderMode=cv2.BORDER_REFLECT)
        surface = self._tinted(base, 0.22 * turned)
        snow = (np.arange(self._height)[:, None] + 5 * turned) < self._rng.uniform(-0.2, 0.6) * self._horizon
        return np.where(snow[..., None], np.float32(0.93), surface)

    def grass(self, base: np.ndarray) -> np.ndarray:
        shape = self._canvas.labels.shape
        return self._tinted(base, 0.24 * field(self._rng, shape, 1, 4) * (0.4 + self._down()) + 0.06 * field(self._rng, shape, 24, 9))

    def sand(self, base: np.ndarray) -> np.ndarray:
        shape = self._canvas.labels.shape
        return self._tinted(base, 0.04 * field(self._rng, shape, 0.5, 0.5) + 0.07 * field(self._rng, shape, 28, 5))

    def water(self, base: np.ndarray) -> np.ndarray:
        ripples = field(self._rng, self._canvas.labels.shape, 12, 2)
        surface = self._tinted(base, 0.12 * ripples + 0.15 * (1 - self._down()))
        return np.where(ripples[..., None] > 1.9, np.float32(0.95), surface)

    def road(self, base: np.ndarray) -> np.ndarray:
        surface = self._tinted(base, 0.1 * field(self._rng, self._canvas.labels.shape, 0.6, 0.6))
        middle = self._height - (self._height - self._horizon) * self._rng.uniform(0.2, 0.4)
        rows, columns = np.mgrid[: self._height, : self._width]
        dashes = (np.abs(rows - middle) < 2) & ((columns // 16) % 2 == 0)
        return np.where(dashes[..., None], np.float32([0.95, 0.93, 0.8]), surface)


_REGION_TEXTURES = {name: getattr(_Scene, name) for name in _COLOURS}


# Surfaces of objects: factors (H, W) on their colours, from the picture's shape and the object's size.


def _stripes(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    columns = np.arange(shape[1])[None, :]
    wave = np.sin(columns * 2 * np.pi * 11 / size + 0.9 * field(rng, shape, size / 8, size / 3))
    return np.where(wave > -0.1, 1.0, 0.1)


def _spots(depth: float, grain: float) -> Callable[..., np.ndarray]:
    """Light and dark spots of a size that is a part of the object's."""
    return lambda rng, shape, size: 1 + depth * field(rng, shape, grain * size, grain * size)


def _bricks(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    joint = (rows % 5 == 0) | ((columns + 5 * (rows // 5 % 2)) % 10 == 0)
    return 1 - 0.22 * joint + 0.04 * field(rng, shape, 2, 1)


def _tiles(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    return 1 + 0.25 * (np.arange(shape[0])[:, None] % 4 == 0) + 0.08 * field(rng, shape, 1, 1)


_OBJECT_TEXTURES = {
    'stripes': _stripes,
    'wool': _spots(0.12, 0.05),
    'leaves': _spots(0.3, 0.03),
    'hide': _spots(0.07, 0.08),
    'bricks': _bricks,
    'tiles': _tiles,
}
