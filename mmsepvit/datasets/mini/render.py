"""Draws a scene: image, class map and instance map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .classes import CLASS_INDEX
from .noise import Noise, smoothstep
from .objects import build_parts
from .scene import Colour, Ground, Scene, Thing
from .textures import ground_texture, object_texture


@dataclass(frozen=True)
class Rendered:
    """A drawn scene.

    Attributes:
        image: uint8 RGB of shape (H, W, 3).
        classes: uint8 indices into :data:`~mmsepvit.datasets.mini.classes.CLASSES`, shape (H, W).
        instances: uint8 of shape (H, W); 0 where no standing object is seen, i + 1 on the visible
            pixels of ``scene.things[i]``. Masks of different objects therefore never overlap.
    """

    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray


def _blend(base: np.ndarray, colour: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    return base + (colour - base) * np.asarray(weight)[..., None]


def _rgb(colour: Colour) -> np.ndarray:
    return np.asarray(colour, dtype=np.float64)


class _Canvas:
    """Holds the arrays of one drawing."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        key = [scene.seed, scene.index, 1]
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        self.noise = Noise(self.rng)
        self.y, self.x = np.mgrid[0 : scene.height, 0 : scene.width] + 0.5
        self.colour = np.zeros((scene.height, scene.width, 3))
        self.classes = np.zeros((scene.height, scene.width), dtype=np.uint8)
        self.instances = np.zeros((scene.height, scene.width), dtype=np.uint8)
        self.fade = _rgb(scene.sky[1])  # what distant things fade into

    def _above(self) -> tuple[slice, slice]:
        """The rows that the sky and the mountains lie in."""
        return slice(0, int(self.scene.horizon) + 1), slice(None)

    def draw_sky(self) -> None:
        scene, rows = self.scene, self._above()
        x, y = self.x[rows], self.y[rows]
        down = np.clip(y / scene.horizon, 0.0, 1.0)
        colour = _blend(_rgb(scene.sky[0]), self.fade, down)
        if scene.clouds > 0.0:
            puff = self.noise.fractal(x / 34.0, y / 15.0, 3, offset=11.0)
            white = np.array([0.96, 0.96, 0.97])
            colour = _blend(colour, white, smoothstep((puff - 0.5) * 5.0) * scene.clouds)
        self.colour[rows] = colour
        self.classes[:] = CLASS_INDEX['sky']

    def draw_ridge(self) -> None:
        scene, ridge, rows = self.scene, self.scene.ridge, self._above()
        if ridge is None:
            return
        x, y = self.x[rows], self.y[rows]
        peaks = np.asarray(ridge.peaks)
        place = x[:1] / scene.width * (len(peaks) - 1)
        left = np.clip(np.floor(place).astype(np.int64), 0, len(peaks) - 2)
        part = place - left
        top = peaks[left] * (1.0 - part) + peaks[left + 1] * part
        rough = self.noise.fractal(x[:1] / 14.0, 0.0, 3, offset=21.0) - 0.5
        top = (top + 0.14 * rough) * scene.horizon
        up = scene.horizon - y
        inside = (up >= 0.0) & (up < top)
        # Facets: the difference of two shifted samples is a slope towards or from the light.
        u, v = x / 13.0, y / 15.0
        slope = self.noise.fractal(u + 0.6, v - 0.3, 3, 31.0) - self.noise.fractal(u, v, 3, 31.0)
        shade = 1.0 + slope * (2.6 if scene.light.sun_x > 0.0 else -2.6)
        climb = up / (top + 1.0)
        colour = _blend(_rgb(ridge.colour), _rgb(ridge.second), smoothstep(climb))
        if ridge.snow < 1.0:
            jag = 0.25 * (self.noise(x / 4.0, y / 5.0, 41.0) - 0.5)
            snow = smoothstep((climb + jag - ridge.snow) * 9.0 + 0.5)
            colour = _blend(colour, np.array([0.93, 0.94, 0.97]), snow * 0.9)
        colour = _blend(colour * shade[..., None], self.fade, scene.light.haze * 0.8)
        self.colour[rows][inside] = colour[inside]
        self.classes[rows][inside] = CLASS_INDEX['mountain']

    def draw_ground(self, ground: Ground) -> None:
        scene = self.scene
        rows = slice(int(scene.horizon), scene.height), slice(None)
        x, y = self.x[rows], self.y[rows]
        inside = ground.covers(x, y, scene)
        depth = np.clip((y - scene.horizon) / (scene.height - scene.horizon), 0.0, 1.0)
        factor, mix = ground_texture(ground, scene, self.noise, x, y, depth)
        colour = _blend(_rgb(ground.colour), _rgb(ground.second), mix)
        patches = 0.85 + 0.3 * self.noise(x / 40.0, depth * 4.0, offset=5.0)
        colour = colour * (factor * patches)[..., None]
        colour = _blend(colour, self.fade, scene.light.haze * 0.6 * (1.0 - depth) * (1.0 - depth))
        self.colour[rows][inside] = colour[inside]
        self.classes[rows][inside] = CLASS_INDEX[ground.name]

    def draw_shadow(self, thing: Thing) -> None:
        """Darken the ground beside an object's feet, away from the sun."""
        width = {'person': 0.25, 'tree': 0.3, 'building': 0.0, 'car': 1.3}.get(thing.name, 0.6)
        if width == 0.0:
            return
        rx, ry = thing.size * width * thing.stretch, thing.size * 0.06
        u = (self.x - thing.x + self.scene.light.sun_x * rx * 0.5) / rx
        v = (self.y - thing.y) / ry
        dark = smoothstep(1.4 - np.sqrt(u * u + v * v)) * 0.55 * (self.y > self.scene.horizon)
        self.colour *= (1.0 - dark)[..., None]

    def draw_thing(self, number: int, thing: Thing) -> None:
        scene, light = self.scene, self.scene.light
        parts = build_parts(thing)
        bounds = [part.shape.bounds() for part in parts]
        low_x, low_y = min(b[0] for b in bounds), min(b[1] for b in bounds)
        high_x, high_y = max(b[2] for b in bounds), max(b[3] for b in bounds)
        scale_y = thing.size / high_y
        direction = -1.0 if thing.mirrored else 1.0
        scale_x = scale_y * thing.stretch * direction
        depth = (thing.y - scene.horizon) / (scene.height - scene.horizon)
        far = 1.0 - min(1.0, max(0.0, depth))
        haze = light.haze * 0.7 * far * far
        self.draw_shadow(thing)
        middle_x, half = (low_x + high_x) / 2.0, max((high_x - low_x) / 2.0, 1e-6)
        for part in parts:
            x0, y0, x1, y1 = part.shape.bounds()
            pixel_x = sorted((thing.x + x0 * scale_x, thing.x + x1 * scale_x))
            left = max(0, int(pixel_x[0]) - 1)
            right = min(scene.width, int(pixel_x[1]) + 3)
            top = max(0, int(thing.y - y1 * scale_y) - 1)
            bottom = min(scene.height, int(thing.y - y0 * scale_y) + 3)
            if left >= right or top >= bottom:
                continue
            window = (slice(top, bottom), slice(left, right))
            x = (self.x[window] - thing.x) / scale_x
            y = (thing.y - self.y[window]) / scale_y
            distance = part.shape.distance(x, y) * scale_y
            cover = np.clip(0.5 - distance, 0.0, 1.0)
            factor, mix = object_texture(part.texture, self.noise, x, y, number)
            colour = _blend(_rgb(part.colour), _rgb(part.second), mix)
            # Rounded shading: bright towards the sun, dark below, darker at the part's rim.
            lateral = (x - middle_x) / half * direction * light.sun_x
            rim = smoothstep(-distance / (0.08 * thing.size + 1.0))
            vertical = (y - low_y) / (high_y - low_y)
            shade = 1.0 + light.contrast * (0.3 * lateral + 0.35 * (vertical - 0.6) + 0.25 * (rim - 0.7))
            colour = _blend(colour * (factor * shade)[..., None], self.fade, haze)
            self.colour[window] = _blend(self.colour[window], colour, cover)
            hit = distance < 0.0
            self.classes[window][hit] = CLASS_INDEX[thing.name]
            self.instances[window][hit] = number + 1

    def develop(self) -> np.ndarray:
        """Apply light, blur and sensor noise; return the uint8 image."""
        light = self.scene.light
        image = self.colour * (light.brightness * _rgb(light.cast))
        if light.blur:
            padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode='edge')
            rows = padded[:-2] + padded[1:-1] + padded[2:]
            image = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9.0
        shape = image.shape
        # A sum of uniforms is near enough to a normal and exact on every platform.
        grain = self.rng.random(shape) + self.rng.random(shape) + self.rng.random(shape) - 1.5
        image = image * 255.0 + grain * (2.0 * light.noise)
        return np.clip(np.floor(image + 0.5), 0.0, 255.0).astype(np.uint8)


def render_scene(scene: Scene) -> Rendered:
    """Draw a scene. The same scene always gives the same arrays.

    Args:
        scene: What to draw.

    Returns:
        Image, class map and instance map of the scene's height and width.
    """
    canvas = _Canvas(scene)
    canvas.draw_sky()
    canvas.draw_ridge()
    for ground in scene.grounds:
        canvas.draw_ground(ground)
    for number, thing in enumerate(scene.things):
        canvas.draw_thing(number, thing)
    return Rendered(canvas.develop(), canvas.classes, canvas.instances)
