"""What is in a generated picture and where: a function of a seed and a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import objects
from .classes import CLASS_NAMES
from .drawing import Canvas, ellipse
from .surfaces import OBJECT_TEXTURES, region

SIZES = ((192, 256), (192, 240), (208, 256), (224, 192))
"""(height, width) of the pictures; the real data sets mix sizes too."""

_OBJECTS: dict[str, tuple[Callable[[np.random.Generator], list[objects.Part]], tuple[float, float]]] = {
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
_FAR = ('building', 'tree')
_NEAR = ('person', 'car', 'sheep', 'elephant', 'zebra')
_GROUNDS = {'meadow': 'grass', 'lake': 'grass', 'beach': 'sand', 'desert': 'sand', 'street': 'road'}


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
    things: list[tuple[int, bool]]


def draw_scene(seed: int, index: int, focus: str | None = None) -> Picture:
    """Draws a picture.

    Args:
        seed: Seed of the whole data set, 0 or more.
        index: Number of the picture, 0 or more.
        focus: Class that the picture is of, its only object or largest region. Defaults to None: a whole scene.

    Returns:
        The picture, the same for the same arguments.
    """
    return _Scene(np.random.default_rng([seed, index, 1 + CLASS_NAMES.index(focus) if focus else 0])).draw(focus)


class _Scene:
    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._shape = self._height, self._width = SIZES[int(rng.integers(len(SIZES)))]
        self._canvas = Canvas(*self._shape)
        self._horizon = self._height * rng.uniform(0.2, 0.6)
        self._sun = rng.uniform(-1.0, 1.0)
        self._things: list[tuple[int, bool]] = []

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def draw(self, focus: str | None) -> Picture:
        kind = {'water': 'beach', 'mountain': 'lake'}.get(focus or '', str(self._rng.choice(list(_GROUNDS))))
        self._horizon = {'water': 0.25 * self._height, 'mountain': 0.6 * self._height}.get(focus or '', self._horizon)
        self._backdrop(kind, focus)
        if focus is None:
            self._populate(kind)
        elif focus in _OBJECTS:
            x, y = self._width * self._rng.uniform(0.4, 0.6), self._height * self._rng.uniform(0.86, 0.97)
            self._stand(focus, x, y, self._rng.uniform(1.2, 1.5))
        return Picture(self._developed(), self._canvas.labels, self._canvas.objects, self._things)

    def _backdrop(self, kind: str, focus: str | None) -> None:
        """Sky, mountains and ground."""
        rng, height, width, horizon = self._rng, self._height, self._width, self._horizon
        self._region('sky', np.array([(-9, -9), (width + 9, -9), (width + 9, horizon + 2), (-9, horizon + 2)]))
        if focus == 'mountain' or (focus is None and self._chance(0.4)):
            x = np.linspace(-5, width + 5, 12)
            peaks = horizon * (1 - rng.uniform(0.15, 0.75, len(x)) * (1.2 if focus else 1.0))
            self._region('mountain', np.array([*zip(x, peaks), (width + 9, horizon + 2), (-9, horizon + 2)]))
        if kind in ('beach', 'lake'):
            self._region('water', self._from(0.0))
            shore = {'water': rng.uniform(0.6, 0.85), 'mountain': 0.15}.get(focus or '', rng.uniform(0.3, 0.5))
            self._region(_GROUNDS[kind], self._from(shore, waves=4.0))
        elif kind == 'street':
            self._region('grass' if self._chance(0.6) else 'sand', self._from(0.0))
            self._region('road', self._from(rng.uniform(0.2, 0.4)))
        else:
            self._region(_GROUNDS[kind], self._from(0.0))
            if self._chance(0.3):  # a road into the distance
                far, near, half = (
                    width * rng.uniform(0.2, 0.8),
                    width * rng.uniform(0.2, 0.8),
                    width * rng.uniform(0.2, 0.35),
                )
                foot = height + 9
                corners = [(far - 4, horizon), (far + 4, horizon), (near + half, foot), (near - half, foot)]
                self._region('road', np.array(corners))

    def _from(self, depth: float, waves: float = 0.0) -> np.ndarray:
        """The ground from a depth, 0 at the horizon and 1 at the picture's foot, on; its edge may be wavy."""
        x = np.linspace(-9, self._width + 9, 24)
        y = self._horizon + depth * (self._height - self._horizon)
        edge = y + waves * np.sin(x / self._width * self._rng.uniform(3, 9) + self._rng.uniform(0, 6))
        return np.array([*zip(x, edge), (self._width + 9, self._height + 9), (-9, self._height + 9)])

    def _region(self, name: str, corners: np.ndarray) -> None:
        surface = region(self._rng, self._shape, self._horizon, name)
        self._canvas.paint(corners, surface, label=CLASS_NAMES.index(name))

    def _populate(self, kind: str) -> None:
        """Puts buildings and trees at the back and animals, people and cars before them."""
        rng, depth = self._rng, self._height - self._horizon
        back = self._horizon + (0.5 if kind in ('beach', 'lake') else 0.15) * depth
        places: list[tuple[float, float, str]] = []
        for slot in rng.permutation(3)[: int(rng.integers(1, 3))]:
            places.append(
                (back + rng.uniform(0, 0.1) * depth, (slot + rng.uniform(0.3, 0.7)) / 3, str(rng.choice(_FAR)))
            )
        for slot in rng.permutation(3)[: int(rng.integers(1, 4))]:
            name = 'car' if kind == 'street' and self._chance(0.5) else str(rng.choice(_NEAR))
            places.append((self._height - rng.uniform(0.03, 0.35) * depth, (slot + rng.uniform(0.3, 0.7)) / 3, name))
        if self._chance(0.2):
            places.append((self._height - rng.uniform(0.02, 0.3) * depth, rng.random(), 'clutter'))
        if self._chance(0.12):
            self._flock(back + 0.1 * depth)
        for y, x, name in sorted(places):
            # What is nearer is larger.
            self._stand(name, x * self._width, y, 0.7 + 0.4 * (y - self._horizon) / depth if name in _NEAR else 1.0)

    def _flock(self, y: float) -> None:
        """Sheep so far away that annotators take them for one crowd."""
        self._things.append((CLASS_NAMES.index('sheep'), True))
        start = self._rng.uniform(0.1, 0.6) * self._width
        for i in range(int(self._rng.integers(4, 7))):
            self._put('sheep', start + 13 * i, y + self._rng.uniform(-3, 5), 0.09 * self._height, len(self._things))

    def _stand(self, name: str, x: float, y: float, zoom: float) -> None:
        """Puts an object on the ground, and counts it where it is one that is counted."""
        number = 0
        if name in _NEAR:
            self._things.append((CLASS_NAMES.index(name), False))
            number = len(self._things)
        self._put(name, x, y, zoom * self._height * self._rng.uniform(*_OBJECTS[name][1]), number)

    def _put(self, name: str, x: float, y: float, size: float, number: int) -> None:
        """Draws an object and its shadow."""
        rng, canvas = self._rng, self._canvas
        parts = _OBJECTS[name][0](rng)
        mirror = -1.0 if self._chance(0.5) else 1.0
        half = max(abs(part.outline[:, 0]).max() for part in parts)
        canvas.paint(ellipse(x + 0.15 * size * self._sun, y, 0.9 * half * size, 0.05 * size), 0.55 * canvas.image)
        used = {part.texture for part in parts if part.texture}
        textures = {texture: OBJECT_TEXTURES[texture](rng, self._shape, size) for texture in sorted(used)}
        for part in parts:
            corners = part.outline * (mirror * size, -size) + (x, y)
            canvas.paint(corners, part.colour, textures.get(part.texture or ''), CLASS_NAMES.index(name), number)

    def _developed(self) -> np.ndarray:
        """What a camera makes of the canvas: light from one side, a cast, noise."""
        rng = self._rng
        light = (1 + 0.1 * self._sun * np.linspace(-1, 1, self._width))[None, :, None] * rng.uniform(0.7, 1.15)
        image = self._canvas.image * light * rng.uniform(0.88, 1.12, 3)
        image += rng.uniform(0.005, 0.025) * rng.standard_normal(image.shape, np.float32)
        return np.round(255 * image.clip(0, 1)).astype(np.uint8)
