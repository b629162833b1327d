"""Writes scenes in COCO's layout, as mmdetection's ``CocoDataset`` reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .classes import CLASS_INDEX, CLASSES
from .coco_categories import COCO_CATEGORIES
from .files import save_jpeg
from .masks import mask_to_polygons, mask_to_rle
from .render import Rendered
from .scene import Scene

#: Objects of which fewer pixels are seen are left out, as an annotator would.
MIN_VISIBLE_AREA = 16
# Image ids of the splits start here, so that they are unique over both.
_FIRST_IDS = {'train': 1, 'val': 500001}


def annotations(scene: Scene, rendered: Rendered) -> list[dict]:
    """Return the instance annotations of a scene, without image and annotation ids.

    Args:
        scene: The description.
        rendered: The same scene, drawn.

    Returns:
        One dict for each visible object in COCO's form; the members of a crowd share one with
        ``iscrowd`` 1 and run lengths instead of polygons.
    """
    masks: dict[tuple[str, int], np.ndarray] = {}
    for number, thing in enumerate(scene.things):
        if CLASSES[CLASS_INDEX[thing.name]].coco_id is None:
            continue
        # Crowds have keys below zero, single objects their own number.
        key = (thing.name, number if thing.group < 0 else -1 - thing.group)
        mask = rendered.instances == number + 1
        masks[key] = masks[key] | mask if key in masks else mask

    found = []
    for (name, number), mask in masks.items():
        area = int(mask.sum())
        if area < MIN_VISIBLE_AREA:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        left, top = int(columns[0]), int(rows[0])
        size = int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
        crowd = number < 0
        found.append(
            {
                'segmentation': mask_to_rle(mask) if crowd else mask_to_polygons(mask),
                'area': area,
                'iscrowd': int(crowd),
                'bbox': [left, top, *size],
                'category_id': CLASSES[CLASS_INDEX[name]].coco_id,
            }
        )
    return found


class COCOWriter:
    """Writes one split: ``root/<split>2017`` and ``root/annotations/instances_<split>2017.json``.

    Args:
        root: Folder to write into; made if missing.
        split: 'train' or 'val'.
    """

    def __init__(self, root: Path, split: str) -> None:
        self._folder = root / f'{split}2017'
        self._file = root / 'annotations' / f'instances_{split}2017.json'
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._first = _FIRST_IDS[split]
        self._images: list[dict] = []
        self._annotations: list[dict] = []

    def add(self, scene: Scene, rendered: Rendered) -> None:
        """Write one picture and remember its annotations."""
        image_id = self._first + len(self._images)
        name = f'{image_id:012d}.jpg'
        save_jpeg(rendered.image, self._folder / name)
        self._images.append(
            {
                'license': 1,
                'file_name': name,
                'height': scene.height,
                'width': scene.width,
                'id': image_id,
            }
        )
        for annotation in annotations(scene, rendered):
            number = self._first + len(self._annotations)
            self._annotations.append({**annotation, 'image_id': image_id, 'id': number})

    def close(self) -> None:
        """Write the annotation file."""
        content = {
            'info': {'description': 'Generated scenes of mmsepvit', 'version': '1', 'year': 2026},
            'licenses': [{'id': 1, 'name': 'Generated, free to use', 'url': ''}],
            'images': self._images,
            'annotations': self._annotations,
            'categories': COCO_CATEGORIES,
        }
        self._file.write_text(json.dumps(content, separators=(',', ':')), encoding='utf-8')
