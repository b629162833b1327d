"""Many crops of few pictures, the same for the same seed; arXiv 2112.00725 shows how far they teach."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import cv2
import numpy as np

FASHION = Path('/usr/share/datasets/fashion-mnist')
# How often a crop is of each kind, and how often two are mixed.
PHOTOGRAPH, WALLPAPER, CUTOUT, FASHION_ITEM = 0.3, 0.14, 0.4, 0.16
MIXED = 0.3


def read_idx(path: Path) -> np.ndarray:
    """An array of an MNIST file."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, '>i4', content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


class Crops:
    """Draws training pictures (size, size, 3), RGB, uint8.

    Args:
        pictures: Folder that ``pictures.py`` wrote.
        size: Side in pixels.
        fashion: Folder of Fashion-MNIST, of which the training pictures are used, without their labels.
    """

    def __init__(self, pictures: Path, size: int = 112, fashion: Path = FASHION) -> None:
        self.size = size
        self.photographs, self.wallpapers, self.cutouts = [], [], []
        for entry in json.loads((pictures / 'pictures.json').read_text(encoding='utf-8')):
            picture = cv2.imread(str(pictures / entry['file']), cv2.IMREAD_UNCHANGED)
            picture[..., :3] = picture[..., 2::-1].copy()
            is_large = entry['package'].startswith('lomiri')
            kind = self.cutouts if entry['cutout'] else self.wallpapers if is_large else self.photographs
            kind.append(picture)
        self.items = read_idx(fashion / 'train-images-idx3-ubyte.gz')

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        crop = self._draw_one(rng)
        if rng.random() < MIXED:
            other = self._draw_one(rng)
            if rng.random() < 0.5:
                share = rng.uniform(0.3, 0.7)
                crop = (share * crop + (1 - share) * other).astype(np.uint8)
            else:
                low, high = np.sort(rng.integers(0, self.size + 1, (2, 2)), axis=0)
                crop[low[0] : high[0], low[1] : high[1]] = other[low[0] : high[0], low[1] : high[1]]
        return crop

    def _draw_one(self, rng: np.random.Generator) -> np.ndarray:
        kind = rng.choice(4, p=[PHOTOGRAPH, WALLPAPER, CUTOUT, FASHION_ITEM])
        if kind == 0:
            crop = self._crop(self.photographs, 0.1, rng)
        elif kind == 1:
            crop = self._crop(self.wallpapers, 0.02, rng)
        elif kind == 2:
            crop = self._paste(self.cutouts[rng.integers(len(self.cutouts))], rng)
        else:
            crop = self._item(rng)
        return self._jitter(crop, rng)

    def _crop(self, pictures: list[np.ndarray], smallest: float, rng: np.random.Generator) -> np.ndarray:
        """A part of a picture of at least that share of its area, at most turned a little, mirrored or not."""
        picture = pictures[rng.integers(len(pictures))]
        height, width = picture.shape[:2]
        area = height * width * np.exp(rng.uniform(np.log(smallest), 0))
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        h, w = min(height, round((area / ratio) ** 0.5)), min(width, round((area * ratio) ** 0.5))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        crop = cv2.resize(picture[top : top + h, left : left + w], (self.size,) * 2, interpolation=cv2.INTER_AREA)
        return self._turn(crop, rng, 15, cv2.BORDER_REFLECT)

    def _paste(self, cutout: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A cut-out object on a plain colour or on a crop of a photograph."""
        if rng.random() < 0.5:
            background = np.empty((self.size, self.size, 3), np.uint8)
            background[:] = 255 if rng.random() < 0.4 else rng.integers(0, 256, 3)
        else:
            background = self._crop(self.photographs + self.wallpapers, 0.05, rng)
        scale = self.size * rng.uniform(0.5, 1.1) / max(cutout.shape[:2])
        small = cv2.resize(cutout, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.zeros((self.size, self.size, 4), np.uint8)
        h, w = (min(side, self.size) for side in small.shape[:2])
        top, left = rng.integers(self.size - h + 1), rng.integers(self.size - w + 1)
        canvas[top : top + h, left : left + w] = small[:h, :w]
        canvas = self._turn(canvas, rng, 25, cv2.BORDER_CONSTANT)
        alpha = canvas[..., 3:].astype(np.float32) / 255
        return (alpha * canvas[..., :3] + (1 - alpha) * background).astype(np.uint8)

    def _item(self, rng: np.random.Generator) -> np.ndarray:
        """A grey product photograph as it is, or in a colour on another."""
        grey = self.items[rng.integers(len(self.items))].astype(np.float32) / 255
        side = int(self.size * rng.uniform(0.6, 1.0))
        grey = np.clip(cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
        canvas = np.zeros((self.size, self.size), np.float32)
        top, left = rng.integers(self.size - side + 1, size=2)
        canvas[top : top + side, left : left + side] = grey
        canvas = self._turn(canvas, rng, 10, cv2.BORDER_CONSTANT)[..., None]
        low, high = np.zeros(3), np.full(3, 255.0)
        if rng.random() < 0.5:
            low, high = rng.uniform(0, 255, (2, 3))
        return (low + canvas * (high - low)).astype(np.uint8)

    def _turn(self, picture: np.ndarray, rng: np.random.Generator, degrees: float, border: int) -> np.ndarray:
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        if rng.random() < 0.5:
            turn = cv2.getRotationMatrix2D((self.size / 2,) * 2, rng.uniform(-degrees, degrees), 1)
            picture = cv2.warpAffine(np.ascontiguousarray(picture), turn, (self.size,) * 2, borderMode=border)
        return np.ascontiguousarray(picture)

    def _jitter(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < 0.7:
            hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV).astype(np.float32)
            hsv[..., 0] = (hsv[..., 0] + rng.normal(0, 6)) % 180
            hsv[..., 1:] *= np.exp(rng.normal(0, 0.25, 2))
            crop = cv2.cvtColor(np.clip(hsv, 0, [179, 255, 255]).astype(np.uint8), cv2.COLOR_HSV2RGB)
        if rng.random() < 0.1:
            crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if rng.random() < 0.1:
            crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.3, 1.2))
        return crop
