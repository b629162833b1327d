"""Composited photographs with exact masks, as COCO and as ADE20K: stamps of Tux Paint on backgrounds of MATE.

    apt-get download tuxpaint-stamps-default mate-backgrounds
    for deb in *.deb; do dpkg-deb -x $deb packages/${deb%%_*}; done
    PYTHONPATH=.:tools python -m dev.weights.composites packages composites --train 2000 --val 400

Training and validation share neither an object nor a background. Both packages are under the GPL: neither the pictures
nor what is trained on them is published.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from pycocotools import mask as rle

CLASSES = ('mammals', 'birds', 'fruit', 'flowers', 'vegetables', 'fish', 'insects', 'tools')
FOLDERS = {
    'mammals': 'animals/mammals',
    'birds': 'animals/birds',
    'fish': 'animals/fish',
    'insects': 'animals/insects',
    'fruit': 'food/fruit',
    'vegetables': 'food/vegetables',
    'flowers': 'plants/flowers',
    'tools': 'household/tools',
}
SIZE = 256
MOST = 5  # objects in a picture
SEEN = 0.5  # share of an object that others must leave to be seen, so that it is an instance


def stamps(packages: Path, split: str) -> list[list[np.ndarray]]:
    """The stamps (BGR and alpha) of each class, every fourth of which is for validation."""
    root = packages / 'tuxpaint-stamps-default/usr/share/tuxpaint/stamps'
    found = []
    for name in CLASSES:
        paths = [path for path in sorted((root / FOLDERS[name]).rglob('*.png')) if 'cartoon' not in path.parts]
        paths = [path for i, path in enumerate(paths) if (i % 4 == 3) == (split == 'val')]
        pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
        found.append([picture for picture in pictures if picture.ndim == 3 and picture.shape[2] == 4])
    return found


def backgrounds(packages: Path, split: str) -> list[np.ndarray]:
    paths = sorted((packages / 'mate-backgrounds/usr/share/backgrounds/mate/nature').glob('*.jpg'))
    return [cv2.imread(str(path)) for i, path in enumerate(paths) if (i % 4 == 3) == (split == 'val')]


class Placed(NamedTuple):
    """An object in a picture.

    Attributes:
        label: Index of its class.
        mask: What is seen of it, (SIZE, SIZE), bool.
        area: How many pixels it would have if nothing hid it.
    """

    label: int
    mask: np.ndarray
    area: int


def compose(objects: list, scenery: list, rng: np.random.Generator) -> tuple[np.ndarray, list[Placed]]:
    """A picture (SIZE, SIZE, 3), and the objects in it."""
    scene = scenery[rng.integers(len(scenery))]
    side = round(min(scene.shape[:2]) * rng.uniform(0.3, 1.0))
    top, left = (rng.integers(length - side + 1) for length in scene.shape[:2])
    picture = cv2.resize(scene[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    placed: list[Placed] = []
    for _ in range(rng.integers(1, MOST + 1)):
        label = int(rng.integers(len(CLASSES)))
        stamp = objects[label][rng.integers(len(objects[label]))]
        scale = SIZE * rng.uniform(0.2, 0.6) / max(stamp.shape[:2])
        stamp = cv2.resize(stamp, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        stamp = stamp[:, ::-1] if rng.random() < 0.5 else stamp
        h, w = stamp.shape[:2]
        top, left = rng.integers(SIZE - h + 1), rng.integers(SIZE - w + 1)
        alpha = stamp[..., 3:].astype(np.float32) / 255
        part = picture[top : top + h, left : left + w]
        part[:] = alpha * stamp[..., :3] + (1 - alpha) * part
        mask = np.zeros((SIZE, SIZE), bool)
        mask[top : top + h, left : left + w] = alpha[..., 0] > 0.5
        for other in placed:
            other.mask[mask] = False
        placed.append(Placed(label, mask, int(mask.sum())))
    return picture, placed


def write(packages: Path, out: Path, split: str, count: int) -> None:
    """``images/SPLIT``, ``annotations/SPLIT`` (0 background, 1 to 8 the classes) and ``SPLIT.json`` in COCO's form."""
    for folder in ('images', 'annotations'):
        (out / folder / split).mkdir(parents=True, exist_ok=True)
    objects, scenery = stamps(packages, split), backgrounds(packages, split)
    rng = np.random.default_rng([29, split == 'val'])
    coco = {
        'info': {},  # without it pycocotools' results cannot be loaded
        'images': [],
        'annotations': [],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
    }
    for number in range(count):
        picture, placed = compose(objects, scenery, rng)
        name = f'{number:05d}'
        cv2.imwrite(str(out / 'images' / split / f'{name}.jpg'), picture)
        coco['images'].append({'id': number, 'file_name': f'{name}.jpg', 'width': SIZE, 'height': SIZE})
        semantic = np.zeros((SIZE, SIZE), np.uint8)
        for label, mask, area in placed:
            semantic[mask] = label + 1
            if mask.sum() < max(16, SEEN * area):
                continue
            code = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
            coco['annotations'].append(
                {
                    'id': len(coco['annotations']) + 1,
                    'image_id': number,
                    'category_id': label + 1,
                    'bbox': rle.toBbox(code).tolist(),
                    'area': int(mask.sum()),
                    'iscrowd': 0,
                    'segmentation': {**code, 'counts': code['counts'].decode()},
                }
            )
        cv2.imwrite(str(out / 'annotations' / split / f'{name}.png'), semantic)
    (out / f'{split}.json').write_text(json.dumps(coco), encoding='utf-8')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('packages', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--train', type=int, default=2000)
    parser.add_argument('--val', type=int, default=400)
    args = parser.parse_args()
    for split, count in (('train', args.train), ('val', args.val)):
        write(args.packages, args.out, split, count)
