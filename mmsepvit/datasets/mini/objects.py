"""The shapes that each standing object is drawn from.

Coordinates as in :mod:`~mmsepvit.datasets.mini.shapes`: feet at y = 0, one unit is the object's height, and
it looks to the right. Parts are listed from back to front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .scene import Colour, Thing
from .shapes import Ellipse, Limb, Polygon, box, chain

_DARK: Colour = (0.09, 0.09, 0.1)
_GREY: Colour = (0.55, 0.55, 0.58)


@dataclass(frozen=True)
class Part:
    """One shape with its look.

    Attributes:
        shape: What it covers.
        colour: Red, green and blue in [0, 1].
        texture: A name that :mod:`~mmsepvit.datasets.mini.textures` knows for objects.
        second: The colour that the texture mixes in.
    """

    shape: Ellipse | Limb | Polygon
    colour: Colour
    texture: str = 'plain'
    second: Colour = _DARK


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return tuple(x + (y - x) * t for x, y in zip(a, b))  # type: ignore[return-value]


def _person(thing: Thing) -> list[Part]:
    shirt, trousers, skin, hair = thing.colours
    pose = thing.pose
    step, swing = 0.02 + 0.13 * pose[0], -0.2 + 0.5 * pose[1]
    raised = pose[2] > 0.75
    skirt, bag, cap = pose[3] > 0.65, pose[4] > 0.7, pose[5] > 0.6
    girth = 0.09 + 0.03 * pose[6]
    sleeve = shirt if pose[7] > 0.4 else skin
    parts = []

    def arm(side: float) -> None:
        elbow = (side * (girth + 0.05), 0.62)
        hand = (side * (girth + 0.04) + swing * 0.3 * side, 0.48)
        if raised and side > 0:
            elbow, hand = (girth + 0.12, 0.82), (girth + 0.16, 1.0)
        upper, lower = chain([(side * girth, 0.775), elbow, hand], 0.038, 0.026)
        parts.extend([Part(upper, shirt), Part(lower, sleeve)])
        parts.append(Part(Ellipse(hand[0], hand[1], 0.03, 0.03), skin))

    arm(-1.0)
    for side in (-1.0, 1.0):
        foot = side * step
        knee = (foot * 0.6 + 0.02, 0.25)
        for limb in chain([(side * 0.04, 0.5), knee, (foot, 0.045)], 0.062, 0.036):
            parts.append(Part(limb, trousers if not skirt else skin))
        parts.append(Part(Limb(foot, 0.025, 0.025, foot + 0.06, 0.022, 0.02), _DARK))
    if skirt:
        corners = ((-girth, 0.56), (girth, 0.56), (girth + 0.06, 0.27), (-girth - 0.06, 0.27))
        parts.append(Part(Polygon(corners), trousers))
    shoulder, waist = girth + 0.035, girth
    corners = ((-shoulder, 0.8), (shoulder, 0.8), (waist, 0.47), (-waist, 0.47))
    parts.append(Part(Polygon(corners), shirt, 'cloth', trousers))
    parts.append(Part(Limb(-shoulder + 0.03, 0.79, 0.035, shoulder - 0.03, 0.79, 0.035), shirt))
    if bag:
        parts.append(Part(box(-girth - 0.11, 0.5, -girth + 0.02, 0.76), hair))
    arm(1.0)
    parts.append(Part(Limb(0.0, 0.8, 0.035, 0.0, 0.86, 0.035), skin))
    parts.append(Part(Ellipse(0.01, 0.91, 0.062, 0.08), skin))
    parts.append(Part(Limb(-0.03, 0.955, 0.04, 0.035, 0.965, 0.032), hair))
    if cap:
        parts.append(Part(Limb(0.0, 0.965, 0.03, 0.09, 0.945, 0.012), shirt))
    return parts


def _car(thing: Thing) -> list[Part]:
    paint, second, trim = thing.colours
    pose = thing.pose
    half = 1.15 + 0.45 * pose[0]
    nose = 0.5 + 0.12 * pose[1]
    front = half * (0.1 + 0.35 * pose[2])  # foot of the windscreen
    back = -half * (0.55 + 0.43 * pose[3])  # foot of the rear window: van or saloon
    rake = 0.15 + 0.25 * pose[4]
    body = (
        (-half, 0.2),
        (half, 0.2),
        (half + 0.02, 0.4),
        (half - 0.05, nose - 0.06),
        (front + 0.05, nose + 0.04),
        (back, nose + 0.06),
        (-half, nose + 0.02),
        (-half - 0.03, 0.4),
    )
    cabin = ((front + 0.06, nose), (front - rake, 1.0), (back + 0.12 * pose[5], 1.0), (back, nose))
    glass = _mix(_DARK, trim, 0.25)
    parts = [
        Part(Polygon(cabin), paint, 'metal', second),
        Part(Polygon(body), paint, 'metal', second),
    ]
    low, high = nose + 0.06, 0.93
    left, right = back + 0.15, front - rake * 0.9
    middle = (left + right) / 2.0
    pillar = 0.035
    screen = ((middle + pillar, low), (right + rake * 0.75, low), (right, high))
    parts.append(Part(Polygon((*screen, (middle + pillar, high))), glass, 'metal', trim))
    parts.append(Part(box(left, low, middle - pillar, high), glass, 'metal', trim))
    parts.append(Part(Limb(-half, 0.24, 0.035, half, 0.24, 0.035), _mix(paint, _DARK, 0.6)))
    parts.append(Part(Limb(middle, 0.27, 0.012, middle, low, 0.012), _mix(paint, _DARK, 0.5)))
    parts.append(Part(Ellipse(half - 0.06, nose - 0.14, 0.06, 0.05), (0.95, 0.95, 0.8)))
    parts.append(Part(Ellipse(-half + 0.05, nose - 0.1, 0.05, 0.06), (0.8, 0.15, 0.1)))
    radius = 0.2 + 0.05 * pose[6]
    for x in (-half * 0.62, half * 0.64):
        parts.append(Part(Ellipse(x, radius, radius, radius), _DARK))
        parts.append(Part(Ellipse(x, radius, radius * 0.5, radius * 0.5), _GREY))
    return parts


def _legs(
    xs: tuple[float, ...], top: float, radius: float, stride: float, colour: Colour, **look: object
) -> list[Part]:
    """Pairs of legs; the far ones, listed first, are darker."""
    parts = []
    for i, x in enumerate(xs):
        far = i < len(xs) // 2
        swing = stride if i % 2 else -stride
        shade = _mix(colour, _DARK, 0.4 if far else 0.0)
        points = [(x, top), (x + swing * 0.4, top * 0.5), (x + swing, radius * 0.6)]
        for limb in chain(points, radius * 1.25, radius * 0.8):
            parts.append(Part(limb, shade, **look))
        parts.append(Part(Ellipse(x + swing, radius * 0.5, radius, radius * 0.5), _DARK))
    return parts


def _sheep(thing: Thing) -> list[Part]:
    wool, second, face = thing.colours
    pose = thing.pose
    if pose[0] > 0.5:
        face = _mix(face, _DARK, 0.75)
    legs = _mix(face, _DARK, 0.3)
    grazing = pose[1] > 0.6
    parts = _legs((-0.32, 0.3, -0.4, 0.22), 0.35, 0.05, -0.05 + 0.1 * pose[2], legs)
    bumps = 7
    parts.append(Part(Ellipse(-0.06, 0.6, 0.52, 0.3), wool, 'wool', second))
    for i in range(bumps):
        x = -0.5 + 0.88 * i / (bumps - 1)
        lift = 0.72 + 0.16 * 4.0 * i * (bumps - 1 - i) / (bumps - 1) / (bumps - 1)
        radius = 0.14 + 0.04 * pose[(i + 3) % 8]
        parts.append(Part(Ellipse(x, lift - 0.02, radius, radius * 0.85), wool, 'wool', second))
        parts.append(Part(Ellipse(x, 0.42, radius, radius * 0.7), wool, 'wool', second))
    neck = (0.42, 0.7)
    nose = (0.72, 0.2) if grazing else (0.76, 0.72 + 0.1 * pose[3])
    head = (0.6, 0.36) if grazing else (0.58, 0.86)
    parts.append(Part(Limb(*neck, 0.17, *head, 0.13), wool, 'wool', second))
    parts.append(Part(Limb(*head, 0.105, *nose, 0.065), face))
    ear = (head[0] - 0.12, head[1] + 0.02)
    parts.append(Part(Limb(*head, 0.035, *ear, 0.05), _mix(face, _DARK, 0.3)))
    parts.append(Part(Ellipse(head[0] + 0.04, head[1] + 0.02, 0.02, 0.025), _DARK))
    return parts


def _elephant(thing: Thing) -> list[Part]:
    hide, second, _ = thing.colours
    pose = thing.pose
    look = {'texture': 'hide', 'second': second}
    parts = [Part(limb, hide) for limb in chain([(-0.66, 0.75), (-0.74, 0.4)], 0.03, 0.018)]
    parts += _legs((-0.34, 0.34, -0.46, 0.22), 0.45, 0.1, -0.06 + 0.12 * pose[0], hide, **look)
    parts.append(Part(Ellipse(-0.1, 0.66, 0.58, 0.34), hide, **look))
    parts.append(Part(Ellipse(0.5, 0.74, 0.22, 0.23), hide, **look))
    lifted = pose[1] > 0.7
    if lifted:
        trunk = [(0.62, 0.68), (0.8, 0.5), (0.98, 0.62), (1.0, 0.88)]
    else:
        trunk = [(0.62, 0.68), (0.74, 0.42), (0.74, 0.18), (0.74 + 0.16 * pose[2], 0.08)]
    parts += [Part(limb, hide, **look) for limb in chain(trunk, 0.11, 0.035)]
    if pose[3] > 0.35:
        parts += [Part(limb, (0.93, 0.9, 0.8)) for limb in chain([(0.64, 0.58), (0.8, 0.48), (0.92, 0.54)], 0.03, 0.01)]
    ear = _mix(hide, second, 0.6)
    parts.append(Part(Ellipse(0.34, 0.7, 0.16 + 0.06 * pose[4], 0.23), ear, 'hide', hide))
    parts.append(Part(Ellipse(0.6, 0.8, 0.02, 0.025), _DARK))
    return parts


def _zebra(thing: Thing) -> list[Part]:
    light, dark = thing.colours
    pose = thing.pose
    look = {'texture': 'stripes', 'second': dark}
    grazing = pose[0] > 0.65
    tail = chain([(-0.5, 0.68), (-0.6, 0.5), (-0.58, 0.32)], 0.03, 0.02)
    parts = [Part(limb, dark) for limb in tail]
    parts += _legs((-0.3, 0.26, -0.4, 0.34), 0.46, 0.05, -0.09 + 0.18 * pose[1], light, **look)
    parts.append(Part(Limb(-0.34, 0.6, 0.18, 0.28, 0.6, 0.17), light, **look))
    if grazing:
        head, nose = (0.66, 0.3), (0.8, 0.08)
    else:
        head, nose = (0.58, 0.92), (0.84, 0.78 + 0.05 * pose[2])
    parts.append(Part(Limb(0.3, 0.66, 0.15, *head, 0.09), light, **look))
    away = -0.09
    mane = chain([(0.24, 0.8), (head[0] + away, head[1] + 0.03)], 0.045, 0.035)
    parts += [Part(limb, dark) for limb in mane]
    parts.append(Part(Limb(*head, 0.095, *nose, 0.055), light, **look))
    parts.append(Part(Ellipse(*nose, 0.05, 0.045), dark))
    parts.append(Part(Limb(head[0] - 0.04, head[1], 0.03, head[0] - 0.07, head[1] + 0.12, 0.02), dark))
    parts.append(Part(Ellipse(head[0] + 0.05, head[1] + 0.01, 0.016, 0.02), _DARK))
    return parts


def _tree(thing: Thing) -> list[Part]:
    leaf, bark = thing.colours
    pose = thing.pose
    second = _mix(leaf, _DARK, 0.6)
    trunk = 0.025 + 0.03 * pose[1]
    parts = [Part(Limb(0.0, 0.0, trunk * 1.3, 0.0, 0.6, trunk * 0.7), bark, 'bark')]
    if pose[0] > 0.6:  # conifer
        levels = 3 + int(pose[2] * 3)
        for i in range(levels):
            low = 0.14 + 0.62 * i / levels
            half = 0.27 * (1.0 - 0.75 * i / levels)
            high = min(1.0, low + 0.9 / levels + 0.12)
            corners = ((-half, low), (half, low), (0.0, high))
            parts.append(Part(Polygon(corners), leaf, 'leaf', second))
    else:
        for side in (-1.0, 1.0):
            parts.append(Part(Limb(0.0, 0.35, trunk * 0.7, side * 0.18, 0.6, trunk * 0.4), bark, 'bark'))
        for i in range(7):
            a, b = pose[i], pose[(i + 3) % 8]
            x = -0.24 + 0.08 * i + 0.08 * (a - 0.5)
            y = 0.66 + 0.2 * (b - 0.4) * (1.0 if i % 2 else 0.5)
            radius = 0.13 + 0.05 * a
            parts.append(Part(Ellipse(x, min(y, 0.95 - radius), radius, radius), leaf, 'leaf', second))
        parts.append(Part(Ellipse(0.0, 0.78, 0.2, 0.2), leaf, 'leaf', second))
    return parts


def _building(thing: Thing) -> list[Part]:
    wall, roof, glass, door = thing.colours
    pose = thing.pose
    half = 0.35
    parts = []
    gabled = pose[0] > 0.6
    top = 0.66 if gabled else 0.98
    parts.append(Part(box(-half, -0.02, half, top), wall, 'bricks', _mix(wall, _DARK, 0.35)))
    if gabled:
        corners = ((-half - 0.05, top - 0.02), (half + 0.05, top - 0.02), (0.0, 1.0))
        if pose[1] > 0.5:
            ridge = half * 0.55
            corners = (*corners[:2], (ridge, 1.0), (-ridge, 1.0))
        parts.append(Part(Polygon(corners), roof, 'tiles', _mix(roof, _DARK, 0.5)))
    else:
        parts.append(Part(box(-half - 0.02, top - 0.05, half + 0.02, top), roof))
    rows = 1 + int(pose[2] * 2) if gabled else 2 + int(pose[2] * 4)
    columns = 2 + int(pose[3] * 3)
    low = 0.24 if gabled else 0.2
    pane_w, pane_h = 0.32 * 2 * half / columns, 0.31 * (top - low) / rows
    pane = _mix(glass, _DARK, 0.85 if pose[4] > 0.3 else 0.1)
    for row in range(rows):
        for column in range(columns):
            x = -half + 2.0 * half * (column + 0.5) / columns
            y = low + (top - 0.04 - low) * (row + 0.5) / rows
            frame = box(x - pane_w - 0.012, y - pane_h - 0.012, x + pane_w + 0.012, y + pane_h + 0.012)
            parts.append(Part(frame, _mix(wall, (1.0, 1.0, 1.0), 0.6)))
            parts.append(Part(box(x - pane_w, y - pane_h, x + pane_w, y + pane_h), pane))
    at = -half * 0.6 + half * 1.2 * pose[5]
    parts.append(Part(box(at - 0.06, -0.02, at + 0.06, 0.17), _mix(door, _DARK, 0.4)))
    return parts


def _clutter(thing: Thing) -> list[Part]:
    colour, second, other = thing.colours
    pose = thing.pose
    if pose[0] > 0.5:  # boulders
        return [
            Part(Ellipse(-0.3, 0.3, 0.4, 0.36), colour, 'hide', second),
            Part(Ellipse(0.25, 0.42, 0.5, 0.52), colour, 'hide', second),
        ]
    return [  # a sign on a post
        Part(Limb(0.0, 0.0, 0.04, 0.0, 0.9, 0.04), colour),
        Part(box(-0.3, 0.55, 0.3, 1.0), other),
        Part(box(-0.22, 0.62, 0.22, 0.92), second),
    ]


_BUILDERS: dict[str, Callable[[Thing], list[Part]]] = {
    'person': _person,
    'car': _car,
    'sheep': _sheep,
    'elephant': _elephant,
    'zebra': _zebra,
    'tree': _tree,
    'building': _building,
    'clutter': _clutter,
}


def build_parts(thing: Thing) -> list[Part]:
    """Return the parts of an object, from back to front."""
    return _BUILDERS[thing.name](thing)
