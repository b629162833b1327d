"""What is in a generated picture: plain data, drawn from a seed.

A :class:`Scene` holds everything the renderer and the annotation writers need, so one description
gives the image and all three annotation formats. Colours are drawn per instance from palettes that
all classes share; texture, shape and place tell the classes apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .noise import wave

Colour = tuple[float, float, float]

#: (height, width) of a scene; the real data sets mix sizes too.
SIZES = ((120, 160), (128, 144), (112, 168), (144, 128))

# Hue, saturation and value ranges. The first row is what a class may show anyway; each class also
# has its own natural range, drawn with probability SCENE_NATURAL or PICTURE_NATURAL.
_ANY = ((0.0, 1.0), (0.05, 0.6), (0.3, 0.9))
_NATURAL: dict[str, tuple[tuple[float, float], ...]] = {
    'sky': ((0.52, 0.66), (0.1, 0.6), (0.6, 0.95)),
    'mountain': ((0.05, 0.65), (0.05, 0.3), (0.35, 0.7)),
    'grass': ((0.14, 0.36), (0.25, 0.6), (0.35, 0.75)),
    'sand': ((0.07, 0.14), (0.15, 0.5), (0.55, 0.9)),
    'water': ((0.45, 0.65), (0.15, 0.6), (0.35, 0.8)),
    'road': ((0.0, 1.0), (0.0, 0.12), (0.3, 0.6)),
    'building': ((0.0, 0.12), (0.1, 0.5), (0.4, 0.9)),
    'tree': ((0.15, 0.38), (0.25, 0.6), (0.25, 0.6)),
    'clutter': ((0.0, 0.15), (0.05, 0.3), (0.3, 0.7)),
    'skin': ((0.03, 0.09), (0.25, 0.6), (0.3, 0.95)),
    'sheep': ((0.05, 0.15), (0.0, 0.3), (0.6, 0.95)),
    'elephant': ((0.0, 0.15), (0.02, 0.25), (0.35, 0.65)),
    'zebra': ((0.05, 0.15), (0.0, 0.15), (0.75, 0.98)),
}
SCENE_NATURAL = 0.35
# A picture has one label, a scene one for each pixel: with as little help from colour, classifiers would need
# far more pictures than are made in a minute.
PICTURE_NATURAL = 0.85


@dataclass(frozen=True)
class Light:
    """Lighting and camera faults of a picture.

    Attributes:
        sun_x: Where the light comes from, -1 (left) to 1 (right).
        brightness: Factor on all colours.
        cast: Factor on each of red, green and blue.
        contrast: How strongly rounded shapes are shaded, 0 to 1.
        haze: How far distant things fade into the sky, 0 to 1.
        noise: Standard deviation of the sensor noise, in grey levels.
        blur: Radius of a box blur in pixels: 0 or 1.
    """

    sun_x: float
    brightness: float
    cast: Colour
    contrast: float
    haze: float
    noise: float
    blur: int


@dataclass(frozen=True)
class Ground:
    """A region of the ground, below the horizon.

    ``kind`` says how ``params`` shape it (all relative to the picture's width and the depth of
    the ground): 'all' covers the ground; 'far' is what lies beyond a wavy line (depth, slope,
    amplitude, period, phase); 'lane' a lane that runs to the horizon (vanishing x, near x, near
    half width, far half width); 'band' a strip across (near depth, far depth, slope).
    """

    name: str
    kind: str
    params: tuple[float, ...]
    colour: Colour
    second: Colour

    def covers(self, x: np.ndarray | float, y: np.ndarray | float, scene: Scene) -> np.ndarray | bool:
        """Whether pixel centres (x, y) of ``scene`` are inside, as a boolean array."""
        depth = (np.asarray(y) - scene.horizon) / (scene.height - scene.horizon)
        across = np.asarray(x) / scene.width
        inside = (depth >= 0.0) & (across == across)
        if self.kind == 'far':
            line, slope, amplitude, period, phase = self.params
            bend = wave(across / period + phase) + 0.4 * wave(across * 2.7 / period + phase * 3.1)
            inside = inside & (depth < line + slope * (across - 0.5) + amplitude * bend)
        elif self.kind == 'lane':
            far_x, near_x, near_half, far_half = self.params
            middle = far_x + (near_x - far_x) * depth
            half = far_half + (near_half - far_half) * depth
            inside = inside & (np.abs(across - middle) < half)
        elif self.kind == 'band':
            near, far, slope = self.params
            tilted = depth - slope * (across - 0.5)
            inside = inside & (tilted < near) & (tilted > far)
        return inside


@dataclass(frozen=True)
class Ridge:
    """A chain of mountains on the horizon.

    Attributes:
        peaks: Heights of evenly spaced points of the ridge, as parts of the sky's height.
        snow: Part of the height above which there is snow; 1 for none.
    """

    peaks: tuple[float, ...]
    snow: float
    colour: Colour
    second: Colour


@dataclass(frozen=True)
class Thing:
    """An object that stands on the ground.

    Attributes:
        name: A standing class of :data:`~mmsepvit.datasets.mini.classes.CLASSES`.
        x: Horizontal place of its middle, in pixels.
        y: Where it touches the ground, in pixels; a larger y is nearer and hides what is behind.
        size: Its height in pixels.
        stretch: Factor on its width.
        mirrored: Whether it looks to the left.
        colours: Its colours; what each is for depends on the class.
        pose: Eight numbers in [0, 1) that set limbs and proportions.
        group: Index of the crowd that it is a member of, or -1.
    """

    name: str
    x: float
    y: float
    size: float
    stretch: float
    mirrored: bool
    colours: tuple[Colour, ...]
    pose: tuple[float, ...]
    group: int = -1


@dataclass(frozen=True)
class Scene:
    """A whole picture. ``things`` is ordered from the farthest to the nearest."""

    seed: int
    index: int
    height: int
    width: int
    horizon: float
    light: Light
    sky: tuple[Colour, Colour]
    clouds: float
    ridge: Ridge | None
    grounds: tuple[Ground, ...]
    things: tuple[Thing, ...]

    def ground_at(self, x: float, y: float) -> str:
        """Name of the ground at a point, or 'sky' above the horizon."""
        for ground in reversed(self.grounds):
            if bool(ground.covers(x, y, self)):
                return ground.name
        return 'sky'


def _hsv_to_rgb(hue: float, saturation: float, value: float) -> Colour:
    def channel(n: float) -> float:
        k = (n + hue * 6.0) % 6.0
        return value - value * saturation * max(0.0, min(k, 4.0 - k, 1.0))

    return channel(5.0), channel(3.0), channel(1.0)


class _Painter:
    """Draws random numbers and colours for one scene."""

    def __init__(self, rng: np.random.Generator, natural: float) -> None:
        self._rng = rng
        self._natural = natural

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(self._rng.random())

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def integer(self, low: int, high: int) -> int:
        """Return one of low .. high, both included."""
        return min(high, low + int(self.uniform() * (high - low + 1)))

    def pick(self, options: list | tuple):
        return options[self.integer(0, len(options) - 1)]

    def colour(self, name: str, natural: float | None = None) -> Colour:
        natural = self._natural if natural is None else natural
        ranges = _NATURAL.get(name, _ANY) if self.chance(natural) else _ANY
        return _hsv_to_rgb(*(self.uniform(*r) for r in ranges))

    def near(self, colour: Colour, spread: float = 0.25) -> Colour:
        """A lighter or darker relative of a colour."""
        factor = self.uniform(1.0 - spread, 1.0 + spread)
        return tuple(min(1.0, max(0.0, c * factor + self.uniform(-0.06, 0.06))) for c in colour)  # type: ignore[return-value]


def _light(p: _Painter) -> Light:
    return Light(
        sun_x=p.uniform(-1.0, 1.0),
        brightness=p.uniform(0.7, 1.2),
        cast=(p.uniform(0.85, 1.15), p.uniform(0.9, 1.1), p.uniform(0.85, 1.15)),
        contrast=p.uniform(0.3, 0.9),
        haze=p.uniform(0.0, 0.5),
        noise=p.uniform(1.0, 7.0),
        blur=1 if p.chance(0.12) else 0,
    )


def _ridge(p: _Painter, tall: bool) -> Ridge:
    low, high = (0.55, 0.95) if tall else (0.25, 0.75)
    peaks = tuple(p.uniform(low, high) for _ in range(p.integer(5, 9)))
    colour = p.colour('mountain')
    return Ridge(
        peaks=peaks,
        snow=p.uniform(0.35, 0.75) if tall or p.chance(0.35) else 1.0,
        colour=colour,
        second=p.near(colour, 0.5),
    )


#: The usual ground of what fills a picture; the other kind is seen too.
_HABITATS = {
    'zebra': 'grass',
    'sheep': 'grass',
    'elephant': 'sand',
    'person': 'grass',
    'building': 'grass',
    'car': 'sand',
}


def _grounds(p: _Painter, focus: str | None) -> tuple[Ground, ...]:
    """Two or three kinds of ground, never the same twice."""

    def region(name: str, kind: str, *params: float) -> Ground:
        colour = p.colour(name)
        return Ground(name, kind, params, colour, p.near(colour))

    regions = []
    if focus == 'water':
        regions.append(region('sand', 'all'))
        line = p.uniform(0.4, 0.75)
        shore = (line, p.uniform(-0.3, 0.3), p.uniform(0.0, 0.08), p.uniform(0.5, 1.5), p.uniform())
        regions.append(region('water', 'far', *shore))
        return tuple(regions)
    base = p.pick(('grass', 'sand'))
    if focus in _HABITATS and p.chance(0.8):
        base = _HABITATS[focus]
    regions.append(region(base, 'all'))
    if focus is None and p.chance(0.75):
        # The far ground: a lake or sea, or the other dry ground.
        other = 'water' if p.chance(0.7) else ('sand' if base == 'grass' else 'grass')
        line = p.uniform(0.3, 0.7)
        border = (line, p.uniform(-0.25, 0.25), p.uniform(0.0, 0.08), p.uniform(0.4, 1.5))
        regions.append(region(other, 'far', *border, p.uniform()))
    if p.chance({None: 0.6, 'car': 0.9}.get(focus, 0.15)):
        if p.chance(0.6):
            lane = (p.uniform(0.2, 0.8), p.uniform(0.1, 0.9), p.uniform(0.2, 0.4))
            regions.append(region('road', 'lane', *lane, p.uniform(0.005, 0.03)))
        else:
            near = p.uniform(0.55, 1.0)
            far = near - p.uniform(0.25, 0.4)
            regions.append(region('road', 'band', near, far, p.uniform(-0.15, 0.15)))
    return tuple(regions)


#: Height of a grown person is the unit; (lowest, highest) height of each class in it.
_HEIGHTS = {
    'person': (0.85, 1.1),
    'car': (0.75, 0.95),
    'sheep': (0.55, 0.75),
    'elephant': (1.0, 1.3),
    'zebra': (0.8, 1.05),
    'tree': (1.4, 2.6),
    'building': (1.8, 3.5),
    'clutter': (0.3, 0.8),
}
_WIDE = {'person': (0.8, 1.25), 'tree': (0.7, 1.4), 'building': (0.8, 1.6), 'clutter': (0.7, 1.6)}


def _thing(p: _Painter, name: str, x: float, y: float, size: float, group: int = -1) -> Thing:
    main = p.colour(name)
    if name == 'person':
        colours = (main, p.colour(name), p.colour('skin', 0.9), p.colour('hair'))
    elif name == 'tree':
        colours = (main, p.colour('clutter', 0.7))
    elif name == 'building':
        colours = (main, p.colour(name), p.colour('sky'), p.colour('clutter'))
    elif name == 'zebra':
        dark = p.uniform(0.1, 0.35)
        colours = (main, tuple(dark * c for c in p.colour(name)))
    else:
        colours = (main, p.near(main, 0.5), p.colour(name))
    return Thing(
        name=name,
        x=x,
        y=y,
        size=size,
        stretch=p.uniform(*_WIDE.get(name, (0.9, 1.15))),
        mirrored=p.chance(0.5),
        colours=colours,
        pose=tuple(p.uniform() for _ in range(8)),
        group=group,
    )


def _things(p: _Painter, scene: Scene, focus: str | None) -> list[Thing]:
    """Place buildings, trees, people, cars and animals by perspective."""
    height, width, horizon = scene.height, scene.width, scene.horizon
    depth = height - horizon
    # The nearest person (depth 1) is this tall; the horizon is at a part of a person's height.
    near_size = height * p.uniform(0.4, 0.8)

    def size_at(name: str, y: float) -> float:
        perspective = 0.18 + 0.82 * (y - horizon) / depth
        return near_size * perspective * p.uniform(*_HEIGHTS[name])

    def place(name: str, near: float, far: float, size: float | None = None) -> Thing | None:
        for _ in range(6):
            y = horizon + depth * p.uniform(far, near)
            x = width * p.uniform(-0.02, 1.02)
            if scene.ground_at(min(max(x, 0.0), width - 1.0), y) != 'water':
                return _thing(p, name, x, y, size_at(name, y) if size is None else size)
        return None

    found: list[Thing | None] = []
    if focus is None:
        buildings, trees = p.integer(0, 3), p.integer(0, 4)
    else:
        buildings = 0 if focus in ('building', 'mountain', 'water') else p.integer(0, 2)
        trees = p.integer(0, 2)
    for _ in range(buildings):
        size = height * p.uniform(0.3, 0.6)
        y = horizon + depth * p.uniform(0.01, 0.15)
        found.append(_thing(p, 'building', width * p.uniform(0.0, 1.0), y, size))
    for _ in range(trees):
        found.append(place('tree', 0.5 if focus is None else 0.12, 0.02))
    if p.chance(0.2):
        found.append(place('clutter', 0.9, 0.2))
    if focus is None:
        if not p.chance(0.12):  # some pictures have no countable object at all
            # One kind leads, as in real pictures: a flock, a street with people and cars.
            kinds = ('person', 'car', 'sheep', 'elephant', 'zebra')
            leading, other = p.pick(kinds), p.pick(kinds)
            for _ in range(p.integer(1, 4)):
                found.append(place(leading if p.chance(0.65) else other, 0.98, 0.3))
            if p.chance(0.3):
                found.append(place(p.pick(kinds), 0.3, 0.05))
            if p.chance(0.25):
                found.extend(_crowd(p, scene, p.pick(('person', 'sheep')), near_size))
    elif focus in _HEIGHTS:
        found.extend(_focused(p, scene, focus))
    elif p.chance(0.3):
        found.append(place('person', 0.6, 0.3, height * p.uniform(0.1, 0.2)))
    things = [thing for thing in found if thing is not None]
    return sorted(things, key=lambda thing: thing.y)


def _focused(p: _Painter, scene: Scene, focus: str) -> list[Thing]:
    """The near objects that a single-label picture is of, cut by its border or not."""
    height, width, horizon = scene.height, scene.width, scene.horizon
    if focus == 'person':  # one to three players
        count = p.integer(1, 3)
        return [
            _thing(
                p,
                focus,
                width * ((i + 0.5) / count + p.uniform(-0.1, 0.1)),
                height * p.uniform(0.9, 1.15),
                height * p.uniform(0.75, 1.05),
            )
            for i in range(count)
        ]
    if focus == 'building':
        y = horizon + (height - horizon) * p.uniform(0.2, 0.6)
        barn = _thing(p, focus, width * p.uniform(0.4, 0.6), y, y * p.uniform(0.75, 0.95))
        # pose[0] chooses the roof: barns have a gable.
        return [replace(barn, pose=(0.9, *barn.pose[1:]), stretch=barn.stretch * 1.2)]
    low, high = (0.45, 0.65) if focus == 'car' else (0.65, 0.95)
    y, size = height * p.uniform(0.85, 1.1), height * p.uniform(low, high)
    return [_thing(p, focus, width * p.uniform(0.35, 0.65), y, size)]


def _crowd(p: _Painter, scene: Scene, name: str, near_size: float) -> list[Thing]:
    """Many small members close together, annotated as one region."""
    depth = scene.height - scene.horizon
    for _ in range(4):
        y = scene.horizon + depth * p.uniform(0.1, 0.45)
        if scene.ground_at(scene.width / 2.0, y) != 'water':
            break
    else:
        return []
    size = near_size * 0.22 * (1.0 if name == 'person' else 0.8)
    pace = size * (0.35 if name == 'person' else 0.8)
    x = scene.width * p.uniform(0.1, 0.6)
    members = []
    for _ in range(p.integer(7, 12)):
        at_y = y + p.uniform(-0.02, 0.03) * depth
        members.append(_thing(p, name, x, at_y, size * p.uniform(0.85, 1.15), group=0))
        x += pace * p.uniform(0.6, 1.2)
    return members


def sample_scene(seed: int, index: int, focus: str | None = None) -> Scene:
    """Draw the scene of a seed and an index; the same arguments give the same scene.

    Args:
        seed: Seed of the data set, not negative.
        index: Number of the scene, not negative.
        focus: What fills the picture, for single-label pictures: 'person', 'car', 'sheep',
            'elephant', 'zebra', 'building' (a barn), 'mountain' or 'water' (a shore). None mixes
            everything.

    Returns:
        The scene's description.
    """
    # Only Generator.random() is used: its stream is fixed, other distributions' may change.
    key = [seed, index, *(focus or '').encode()]
    natural = SCENE_NATURAL if focus is None else PICTURE_NATURAL
    p = _Painter(np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))), natural)
    height, width = p.pick(SIZES)
    if focus == 'mountain':
        horizon = height * p.uniform(0.7, 0.92)
    elif focus == 'water':
        horizon = height * p.uniform(0.15, 0.4)
    else:
        horizon = height * p.uniform(0.32, 0.6)
    sky = p.colour('sky')
    with_ridge = focus == 'mountain' or p.chance(0.6 if focus is None else 0.25)
    bare = Scene(
        seed=seed,
        index=index,
        height=height,
        width=width,
        horizon=horizon,
        light=_light(p),
        sky=(sky, p.near(sky, 0.4)),
        clouds=p.uniform() if p.chance(0.6) else 0.0,
        ridge=_ridge(p, focus == 'mountain') if with_ridge else None,
        grounds=_grounds(p, focus),
        things=(),
    )
    return replace(bare, things=tuple(_things(p, bare, focus)))
