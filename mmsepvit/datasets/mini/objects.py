"""The objects of scenes: outlines with their colours, from back to front.

An object stands with its feet at y = 0, is one unit high and looks to the right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .drawing import Outline, box, ellipse, limb
from .surfaces import colour

_DARK = np.array([0.07, 0.07, 0.08])
_GLASS = ((0.52, 0.62), (0.15, 0.4), (0.25, 0.5))
_PAINTS = (  # of cars and clothes: any hue, and what is neither
    ((0.0, 1.0), (0.55, 0.9), (0.4, 0.9)),
    ((0.0, 1.0), (0.0, 0.1), (0.12, 0.95)),
)


class Part(NamedTuple):
    """One outline of an object.

    Attributes:
        outline: Its corners.
        colour: Red, green and blue, 0 to 1.
        texture: A key of :data:`~mmsepvit.datasets.mini.surfaces.OBJECT_TEXTURES`, or None.
    """

    outline: Outline
    colour: np.ndarray
    texture: str | None = None


def _paint(rng: np.random.Generator) -> np.ndarray:
    return colour(rng, *_PAINTS[int(rng.random() < 0.35)])


def person(rng: np.random.Generator) -> list[Part]:
    skin = colour(rng, (0.04, 0.09), (0.3, 0.6), (0.35, 0.95))
    shirt, trousers = _paint(rng), 0.6 * _paint(rng)
    hair, shoes = colour(rng, (0.05, 0.12), (0.3, 0.8), (0.08, 0.5)), 0.5 * _paint(rng)
    step, swing, lift = rng.uniform(0.02, 0.16), rng.uniform(0.05, 0.22), rng.uniform(0.0, 0.35)
    parts = [Part(limb((0.05, 0.77), (0.07 + swing, 0.5 + lift), 0.045, 0.03), 0.85 * shirt)]
    for side, shade in ((-1, 0.8), (1, 1.0)):
        foot = side * step
        parts += [
            Part(limb((0.03 * side, 0.47), (foot, 0.04), 0.07, 0.045), shade * trousers),
            Part(ellipse(foot + 0.03, 0.025, 0.065, 0.028), shoes),
        ]
    return [
        *parts,
        Part(limb((0.0, 0.76), (0.0, 0.48), 0.105, 0.085), shirt),
        Part(limb((-0.06, 0.77), (-0.07 - swing, 0.5), 0.045, 0.03), 0.9 * shirt),
        Part(ellipse(-0.07 - swing, 0.48, 0.032, 0.032), skin),
        Part(limb((0.0, 0.86), (0.0, 0.82), 0.035, 0.035), 0.9 * skin),
        Part(ellipse(0.0, 0.93, 0.07, 0.08), hair),
        Part(ellipse(0.015, 0.915, 0.055, 0.065), skin),
    ]


def car(rng: np.random.Generator) -> list[Part]:
    paint, glass = _paint(rng), colour(rng, *_GLASS)
    front, back = rng.uniform(0.35, 0.7), rng.uniform(-1.05, -0.75)
    body = [(-1.3, 0.2), (1.3, 0.2), (1.32, 0.42), (1.15, 0.54), (front + 0.15, 0.6), (back - 0.1, 0.62), (-1.28, 0.55)]
    cabin = [(back - 0.12, 0.58), (back + 0.12, 0.98), (front - 0.35, 1.0), (front + 0.2, 0.58)]
    pane = [(back, 0.62), (back + 0.17, 0.92), (front - 0.4, 0.93), (front + 0.06, 0.62)]
    middle = (front + back) / 2 - 0.05
    parts = [
        Part(np.array(cabin), 0.92 * paint),
        Part(np.array(pane), glass),
        Part(box(middle - 0.04, 0.6, middle + 0.04, 0.95), 0.92 * paint),
        Part(np.array(body), paint),
        Part(box(-1.28, 0.2, 1.3, 0.3), 0.6 * paint),
        Part(ellipse(1.24, 0.45, 0.07, 0.06), np.array([1.0, 0.95, 0.75])),
        Part(ellipse(-1.25, 0.47, 0.05, 0.06), np.array([0.75, 0.1, 0.08])),
        Part(box(middle + 0.06, 0.46, middle + 0.18, 0.49), 0.6 * paint),
    ]
    for x in (-0.8, 0.82):
        parts += [Part(ellipse(x, 0.21, 0.23, 0.22), _DARK), Part(ellipse(x, 0.21, 0.12, 0.115), np.full(3, 0.62))]
    return parts


def _legs(rng: np.random.Generator, xs: tuple[float, ...], top: float, radius: float, shade: np.ndarray) -> list[Part]:
    """Legs of an animal, the far ones first and darker."""
    parts = []
    for i, x in enumerate(xs):
        foot = x + rng.uniform(-0.07, 0.07)
        parts.append(Part(limb((x, top), (foot, 0.8 * radius), radius, 0.8 * radius), (0.7, 1.0)[i % 2] * shade))
    return sorted(parts, key=lambda part: part.colour.sum())


def sheep(rng: np.random.Generator) -> list[Part]:
    wool = colour(rng, (0.08, 0.14), (0.03, 0.22), (0.75, 1.0))
    face = colour(rng, (0.05, 0.1), (0.05, 0.3), (0.1, 0.3)) if rng.random() < 0.7 else 0.8 * wool
    head = rng.uniform(-0.15, 0.05)
    bumps = [
        Part(ellipse(0.48 * np.cos(a), 0.6 + 0.26 * np.sin(a), 0.16, 0.14), wool, 'wool')
        for a in np.linspace(0, 2 * np.pi, 11, endpoint=False)
    ]
    return [
        *_legs(rng, (-0.36, -0.28, 0.3, 0.38), 0.45, 0.05, face),
        *bumps,
        Part(ellipse(0.0, 0.6, 0.5, 0.3), wool, 'wool'),
        Part(ellipse(0.66, 0.78 + head, 0.13, 0.19, -35), face),
        Part(ellipse(0.53, 0.88 + head, 0.11, 0.05, 25), 0.8 * face),
        Part(ellipse(0.56, 0.92 + head, 0.12, 0.09), wool, 'wool'),
    ]


def elephant(rng: np.random.Generator) -> list[Part]:
    hide = colour(rng, (0.02, 0.12), (0.03, 0.25), (0.35, 0.7))
    curl, reach = rng.uniform(-0.1, 0.25), rng.uniform(0.0, 0.12)
    trunk = [(0.72, 0.62), (0.86 + reach, 0.4), (0.85 + reach, 0.2), (0.9 + reach + curl, 0.1 + max(curl, 0.0) / 2)]
    radii = (0.13, 0.085, 0.06, 0.045)
    return [
        *_legs(rng, (-0.42, -0.24, 0.26, 0.44), 0.4, 0.115, hide),
        Part(limb((-0.6, 0.68), (-0.7, 0.35), 0.03, 0.02), 0.7 * hide),
        Part(ellipse(-0.05, 0.65, 0.6, 0.33), hide, 'hide'),
        Part(ellipse(0.6, 0.76, 0.24, 0.23), hide, 'hide'),
        *(Part(limb(trunk[i], trunk[i + 1], radii[i], radii[i + 1]), 0.95 * hide, 'hide') for i in range(3)),
        Part(limb((0.74, 0.52), (0.98, 0.42), 0.035, 0.015), np.array([0.95, 0.92, 0.82])),
        Part(ellipse(0.4, 0.72, 0.19, 0.26, rng.uniform(-15, 15)), 0.78 * hide, 'hide'),
        Part(ellipse(0.68, 0.82, 0.025, 0.025), _DARK),
    ]


def zebra(rng: np.random.Generator) -> list[Part]:
    coat = colour(rng, (0.05, 0.14), (0.0, 0.12), (0.85, 1.0))
    drop = rng.uniform(-0.3, 0.05)
    poll = np.array([0.68, 0.9 + drop])
    nose = poll + np.array([0.2, -0.17])
    legs = _legs(rng, (-0.4, -0.32, 0.3, 0.38), 0.45, 0.06, coat)
    return [
        Part(limb((-0.52, 0.66), (-0.62, 0.32), 0.03, 0.045), 0.25 * coat),
        *(leg._replace(texture='stripes') for leg in legs),
        Part(limb((0.3, 0.66), (poll[0] - 0.08, poll[1] + 0.05), 0.1, 0.05), 0.2 * coat),
        Part(ellipse(0.0, 0.58, 0.52, 0.2), coat, 'stripes'),
        Part(limb((0.38, 0.6), tuple(poll), 0.16, 0.085), coat, 'stripes'),
        Part(limb(tuple(poll), tuple(nose), 0.085, 0.055), coat, 'stripes'),
        Part(ellipse(nose[0] + 0.01, nose[1], 0.055, 0.05), 0.3 * coat),
        Part(ellipse(poll[0] - 0.03, poll[1] + 0.1, 0.025, 0.06, -15), 0.8 * coat),
    ]


def tree(rng: np.random.Generator) -> list[Part]:
    hue = (0.18, 0.38) if rng.random() < 0.65 else (0.04, 0.15)  # summer or autumn
    leaf = colour(rng, hue, (0.4, 0.8), (0.25, 0.6))
    bark = colour(rng, (0.05, 0.1), (0.3, 0.55), (0.2, 0.4))
    trunk = Part(np.array([(-0.06, 0.0), (0.06, 0.0), (0.035, 0.6), (-0.035, 0.6)]), bark, 'hide')
    if rng.random() < 0.35:  # a fir
        tiers = [(0.18, 0.36), (0.4, 0.28), (0.62, 0.2)]
        return [
            trunk,
            *(Part(np.array([(-w, y), (w, y), (0.0, y + 0.4)]), (0.75 + y / 2) * leaf, 'leaves') for y, w in tiers),
        ]
    crown = [(rng.uniform(-0.2, 0.2), rng.uniform(0.5, 0.82), rng.uniform(0.15, 0.2)) for _ in range(6)]
    crown = [(0.0, 0.65, 0.28), *sorted(crown, key=lambda c: c[1]), (0.0, 0.86, 0.14)]
    return [trunk, *(Part(ellipse(x, y, r, r), (0.7 + 0.4 * y) * leaf, 'leaves') for x, y, r in crown)]


def building(rng: np.random.Generator) -> list[Part]:
    walls = (
        ((0.0, 0.06), (0.4, 0.7), (0.35, 0.7)),  # brick
        ((0.07, 0.15), (0.05, 0.35), (0.5, 0.95)),  # stone
        ((0.2, 0.65), (0.1, 0.4), (0.4, 0.85)),  # paint
    )
    wall = colour(rng, *walls[int(rng.integers(len(walls)))])
    roof = colour(rng, (0.0, 0.08), (0.1, 0.6), (0.2, 0.45))
    glass, frame = colour(rng, *_GLASS), 0.4 + 0.6 * wall
    half, gable = rng.uniform(0.35, 0.75), rng.random() < 0.6
    eaves = rng.uniform(0.6, 0.72) if gable else 0.95
    parts = [Part(box(-half, 0.0, half, eaves), wall, 'bricks')]
    if gable:
        parts.append(Part(np.array([(-half - 0.07, eaves), (half + 0.07, eaves), (0.0, 1.0)]), roof, 'tiles'))
    else:
        parts.append(Part(box(-half - 0.03, eaves, half + 0.03, 1.0), roof))
    floors, columns = int(rng.integers(2, 4)) if gable else int(rng.integers(3, 6)), int(rng.integers(2, 5))
    high, wide = eaves / floors, 2 * half / columns
    for floor in range(floors):
        for column in range(columns):
            x, y = -half + (column + 0.5) * wide, (floor + 0.55) * high
            parts.append(Part(box(x - 0.3 * wide, y - 0.3 * high, x + 0.3 * wide, y + 0.3 * high), frame))
            parts.append(Part(box(x - 0.24 * wide, y - 0.24 * high, x + 0.24 * wide, y + 0.24 * high), glass))
    door = -half + (int(rng.integers(columns)) + 0.5) * wide
    return [*parts, Part(box(door - 0.22 * wide, 0.0, door + 0.22 * wide, 0.75 * high), 0.6 * roof)]


def rock(rng: np.random.Generator) -> list[Part]:
    turn = np.linspace(0, np.pi, 9)
    reach = rng.uniform(0.75, 1.0, 9)
    outline = np.stack([0.9 * reach * np.cos(turn), reach * np.sin(turn)], axis=1)
    return [Part(outline, colour(rng, (0.05, 0.12), (0.05, 0.2), (0.3, 0.6)), 'hide')]
