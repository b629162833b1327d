"""Small data sets of three kinds, and what the checker finds in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmsepvit.datasets.check import check_data

SIZE = (20, 30)  # height and width


def faults_of(scope: str, model: dict | None = None, **splits: Any) -> list[tuple[str, str, str]]:
    """Checks datasets; a split's name with ``_evaluator`` gives its evaluator."""
    content: dict[str, Any] = {'default_scope': scope, 'model': model or {}}
    for name, value in splits.items():
        content |= {name: value} if name.endswith('_evaluator') else {f'{name}_dataloader': {'dataset': value}}
    reports = check_data(Config(content), workers=0)
    return [tuple(fault) for report in reports for fault in report.faults]


def kinds_of(*args: Any, **kwargs: Any) -> set[str]:
    return {kind for kind, _, _ in faults_of(*args, **kwargs)}


def photo(path: Path, seed: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def seg_data(root: Path, values: tuple[int, ...] = (0, 1), mode: str = 'L', count: int = 3) -> dict:
    """A folder of images and maps with these values; returns the config of its dataset."""
    for i in range(count):
        photo(root / f'images/{i}.jpg', i)
        labels = np.resize(np.array(values), SIZE)
        image = Image.fromarray(labels.astype(np.uint16 if mode == 'I;16' else np.uint8))
        if mode == '1':
            image = Image.fromarray(labels.astype(bool))
        elif mode == 'P':
            image.putpalette([5, 5, 5, 200, 0, 0, 0, 200, 0])
        (root / 'maps').mkdir(exist_ok=True)
        image.save(root / f'maps/{i}.png')
    return {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'images', 'seg_map_path': 'maps'},
        'metainfo': {'classes': ('background', 'crack')},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}, {'type': 'PackSegInputs'}],
    }


def coco_data(root: Path, change: Callable[[dict], Any] | None = None, masks: bool = True) -> dict:
    """Three images with a bolt and a nut each, in COCO's format, which ``change`` may spoil."""
    height, width = SIZE
    content: dict[str, Any] = {'info': {}, 'images': [], 'annotations': []}
    content['categories'] = [{'id': 4, 'name': 'bolt'}, {'id': 9, 'name': 'nut'}]
    for i in range(3):
        photo(root / f'images/{i}.jpg', i)
        content['images'].append({'id': i, 'file_name': f'{i}.jpg', 'height': height, 'width': width})
        for category in (4, 9):
            box = [2, 3, 10, 8]
            polygon = [2, 3, 12, 3, 12, 11, 2, 11]
            content['annotations'].append(
                {
                    'id': len(content['annotations']),
                    'image_id': i,
                    'category_id': category,
                    'bbox': box,
                    'area': 80,
                    'iscrowd': 0,
                    'segmentation': [polygon],
                }
            )
    if change is not None:
        change(content)
    (root / 'ann.json').write_text(json.dumps(content))
    return {
        'type': 'CocoDataset',
        'data_root': str(root),
        'data_prefix': {'img': 'images'},
        'ann_file': 'ann.json',
        'metainfo': {'classes': ('bolt', 'nut')},
        'pipeline': [
            {'type': 'LoadImageFromFile'},
            {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': masks},
            {'type': 'PackDetInputs'},
        ],
    }


def first(content: dict) -> dict:
    return content['annotations'][0]


def folders(root: Path, names: tuple[str, ...] = ('cat', 'dog', 'fox')) -> dict:
    for name in names:
        for i in range(2):
            photo(root / name / f'{i}.png', i)
    return {'type': 'CustomDataset', 'data_prefix': str(root), 'pipeline': [{'type': 'LoadImageFromFile'}]}
