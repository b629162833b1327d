"""Writers of generated pictures in the layouts of real data sets, as the OpenMMLab packages read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from .classes import ADE_VALUES, CITYSCAPES_VALUES, CLASS_NAMES, COCO_IDS, IMAGENET_CLASSES, VOC_VALUES, coco_categories
from .scenes import Picture

MIN_AREA = 20
"""Pixels of an object that is annotated; annotators leave out what shows less."""
# The splits' ids start here, so that they are unique over both.
_FIRST_IDS = {'train': 1, 'val': 500001}
_FINE = 4  # times that a mask is enlarged before its outlines are taken


def write_ade(root: Path, split: str, pictures: Iterable[Picture]) -> None:
    """Writes ADE20K's scene parsing layout: 0 is unlabelled, 1 to 150 are classes."""
    folder, prefix = {'train': ('training', 'ADE_train'), 'val': ('validation', 'ADE_val')}[split]
    base = root / 'ADEChallengeData2016'
    for number, picture in enumerate(pictures, 1):
        _write_image(base / 'images' / folder / f'{prefix}_{number:08d}.jpg', picture.image)
        _write_labels(base / 'annotations' / folder / f'{prefix}_{number:08d}.png', picture, ADE_VALUES)


def write_cityscapes(root: Path, split: str, pictures: Iterable[Picture]) -> None:
    """Writes Cityscapes' layout with training ids: 0 to 18 are classes, 255 is ignored."""
    for number, picture in enumerate(pictures, 1):
        stem = f'mini/mini_000000_{number:06d}'
        _write_image(root / 'leftImg8bit' / split / f'{stem}_leftImg8bit.png', picture.image)
        _write_labels(root / 'gtFine' / split / f'{stem}_gtFine_labelTrainIds.png', picture, CITYSCAPES_VALUES)


def write_voc(root: Path, split: str, pictures: Iterable[Picture]) -> None:
    """Writes VOC 2012's layout, boxes and label maps: 0 is background, 1 to 20 are classes, 255 is ignored."""
    base = root / 'VOC2012'
    names = []
    for number, picture in enumerate(pictures, 1):
        names.append(f'{split}_{number:06d}')
        _write_image(base / 'JPEGImages' / f'{names[-1]}.jpg', picture.image)
        _write_labels(base / 'SegmentationClass' / f'{names[-1]}.png', picture, VOC_VALUES)
        tree = ElementTree.Element('annotation')
        height, width = picture.labels.shape
        _add(tree, 'size', width=width, height=height, depth=3)
        for label, crowd, mask in _visible_things(picture):
            if VOC_VALUES[label] > 0 and not crowd:
                left, top, wide, high = cv2.boundingRect(mask)
                thing = _add(tree, 'object', name=CLASS_NAMES[label], difficult=0)
                # VOC counts pixels from 1, and a box's last pixel is in it.
                _add(thing, 'bndbox', xmin=left + 1, ymin=top + 1, xmax=left + wide, ymax=top + high)
        file = _in_folder(base / 'Annotations' / f'{names[-1]}.xml')
        ElementTree.ElementTree(tree).write(file)
    for task in ('Main', 'Segmentation'):
        _in_folder(base / 'ImageSets' / task / f'{split}.txt').write_text('\n'.join(names) + '\n', encoding='utf-8')


def write_coco(root: Path, split: str, pictures: Iterable[Picture]) -> None:
    """Writes COCO 2017's layout: instances, and panoptic segments."""
    images: list[dict] = []
    instances: list[dict] = []
    panoptic: list[dict] = []
    for image_id, picture in enumerate(pictures, _FIRST_IDS[split]):
        name = f'{image_id:012d}'
        height, width = picture.labels.shape
        images.append({'id': image_id, 'file_name': f'{name}.jpg', 'height': height, 'width': width})
        _write_image(root / f'{split}2017' / f'{name}.jpg', picture.image)
        for label, crowd, mask in _visible_things(picture):
            instances.append(
                {
                    'id': _FIRST_IDS[split] + len(instances),
                    'image_id': image_id,
                    'category_id': COCO_IDS[label],
                    'iscrowd': int(crowd),
                    **_measured(mask),
                    'segmentation': _run_lengths(mask) if crowd else polygons(mask),
                }
            )
        segments, numbers = _segments(picture)
        colours = np.stack([numbers % 256, numbers // 256, np.zeros_like(numbers)], axis=-1)
        _write_image(root / 'annotations' / f'panoptic_{split}2017' / f'{name}.png', colours.astype(np.uint8))
        panoptic.append({'image_id': image_id, 'file_name': f'{name}.png', 'segments_info': segments})
    for kind, entries in (('instances', instances), ('panoptic', panoptic)):
        content = {
            'info': {'description': 'generated scenes'},
            'licenses': [],
            'images': images,
            'annotations': entries,
            'categories': coco_categories(stuff=kind == 'panoptic'),
        }
        file = _in_folder(root / 'annotations' / f'{kind}_{split}2017.json')
        file.write_text(json.dumps(content), encoding='utf-8')


def write_imagenet(root: Path, split: str, pictures: Iterable[tuple[str, Picture]]) -> None:
    """Writes ImageNet-1k's layout from pairs of WordNet id and picture.

    ``meta/train.txt`` and ``meta/val.txt`` hold real labels: without them mmpretrain would insist on 1000 folders.
    """
    lines = []
    for number, (wnid, picture) in enumerate(pictures, 1):
        name = f'{wnid}/{wnid}_{number}.JPEG' if split == 'train' else f'ILSVRC2012_val_{number:08d}.JPEG'
        _write_image(root / split / name, picture.image)
        lines.append(f'{name} {IMAGENET_CLASSES[wnid][1]}')
    _in_folder(root / 'meta' / f'{split}.txt').write_text('\n'.join(lines) + '\n', encoding='utf-8')


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask as COCO has them: flat lists of corners, one for each part of it.

    OpenCV's contours go through the centres of the outermost pixels, which loses half a pixel at every edge: of a mask
    that is enlarged four times first, it is an eighth, and pycocotools then fills the same pixels. Holes are lost, as
    COCO's polygons have none.
    """
    large = cv2.resize(mask, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((contour + 0.5) / _FINE).ravel().tolist() for contour in found if len(contour) > 2]


def _visible_things(picture: Picture) -> list[tuple[int, bool, np.ndarray]]:
    """Class index, whether it is a crowd, and mask, uint8 (H, W), of the objects that can be seen."""
    masks = [(picture.objects == number).astype(np.uint8) for number in range(1, len(picture.things) + 1)]
    return [(*thing, mask) for thing, mask in zip(picture.things, masks) if mask.sum() >= MIN_AREA]


def _measured(mask: np.ndarray) -> dict:
    return {'bbox': list(cv2.boundingRect(mask)), 'area': int(mask.sum())}


def _run_lengths(mask: np.ndarray) -> dict:
    from pycocotools import mask as coco_mask

    lengths = coco_mask.encode(np.asfortranarray(mask))
    return {'size': lengths['size'], 'counts': lengths['counts'].decode()}


def _segments(picture: Picture) -> tuple[list[dict], np.ndarray]:
    """Panoptic segments, and the map (H, W) of their ids, 0 where there is none."""
    numbers = np.zeros(picture.labels.shape, int)
    found: list[dict] = []
    things = [(label, crowd, mask) for label, crowd, mask in _visible_things(picture)]
    stuff = [
        (label, False, (picture.labels == label).astype(np.uint8))
        for label in np.unique(picture.labels).tolist()
        if COCO_IDS[label] > 90
    ]
    for label, crowd, mask in things + stuff:
        found.append({'id': len(found) + 1, 'category_id': COCO_IDS[label], 'iscrowd': int(crowd), **_measured(mask)})
        numbers[mask > 0] = len(found)
    return found, numbers


def _add(parent: ElementTree.Element, tag: str, **children: object) -> ElementTree.Element:
    node = ElementTree.SubElement(parent, tag)
    for name, value in children.items():
        ElementTree.SubElement(node, name).text = str(value)
    return node


def _in_folder(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _write_labels(file: Path, picture: Picture, values: tuple[int, ...]) -> None:
    _write_image(file, np.array(values, np.uint8)[picture.labels])


def _write_image(file: Path, image: np.ndarray) -> None:
    """Writes red, green and blue (H, W, 3) or a map (H, W), uint8, by the file's ending."""
    _, encoded = cv2.imencode(file.suffix, image[..., ::-1] if image.ndim == 3 else image)
    _in_folder(file).write_bytes(encoded.tobytes())
