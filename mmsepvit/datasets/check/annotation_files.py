"""Annotation files themselves: dataset classes silently drop much of what is wrong in them."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .faults import Fault
from .samples import box_problem

_NUMBER, _ID, _ANYTHING = (int, float), (int, str), object
_COCO_KEYS: dict[str, dict[str, Any]] = {
    'images': {'id': _ID, 'width': _NUMBER, 'height': _NUMBER, 'file_name': str},
    'annotations': {'id': _ID, 'image_id': _ID, 'category_id': _ID, 'bbox': _ANYTHING, 'area': _ANYTHING},
    'categories': {'id': _ID, 'name': str},
}


def read_coco(path: str) -> tuple[dict[str, list[dict]] | None, list[Fault]]:
    """Reads a file in COCO's format.

    Returns:
        Its lists of images, annotations and categories that have what the dataset class reads, None if there are no
        such lists; and what is wrong.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, OSError) as error:  # of JSON, of UTF-8, of a folder
        return None, [Fault('malformed-json', path, str(error))]
    lists: dict[str, list[dict]] = {}
    faults = []
    for part, keys in _COCO_KEYS.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            return None, [Fault('malformed-json', path, f"there is no list '{part}'")]
        lists[part] = []
        for i, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            wrong = [key for key in keys if not missing and not isinstance(entry[key], keys[key])]
            if missing:
                faults.append(Fault('malformed-json', path, f'{part}[{i}] has no {", ".join(missing)}'))
            elif wrong:
                faults.append(Fault('malformed-json', path, f'{part}[{i}].{wrong[0]} is {entry[wrong[0]]!r}'))
            else:
                lists[part].append(entry)
    return lists, faults


def coco_faults(path: str, lists: dict[str, list[dict]], classes: tuple[str, ...], masks: bool) -> Iterator[Fault]:
    """Looks through the entries of a file in COCO's format.

    Args:
        path: The file.
        lists: Its parts, of :func:`read_coco`.
        classes: The dataset's names of classes.
        masks: Whether the config loads masks.
    """
    for part in ('images', 'annotations', 'categories'):
        seen = set()
        for entry in lists[part]:
            if entry['id'] in seen:
                yield Fault('duplicate-id', path, f'{part}: id {entry["id"]}')
            seen.add(entry['id'])
    names = {category['id']: category['name'] for category in lists['categories']}
    counts = Counter(names.values())
    for name in classes:
        if counts[name] != 1:
            times = f'has {counts[name]} ids in' if counts[name] else 'is not in'
            yield Fault('unknown-category', path, f"class '{name}' {times} the file")
    ordered = [name for name in names.values() if name in classes]
    if ordered != list(classes) and sorted(ordered) == sorted(classes):
        label, name = next((i, name) for i, name in enumerate(ordered) if name != classes[i])
        text = f"label {label} is '{name}' in the order of the file, and '{classes[label]}' in that of the config"
        yield Fault('class-names', path, text)
    images = {image['id']: image for image in lists['images']}
    for entry in lists['annotations']:
        where = f'{path}, annotation {entry["id"]}'
        image = images.get(entry['image_id'])
        if image is None:
            yield Fault('annotation-without-image', where, f'no image has id {entry["image_id"]}')
            continue
        if entry['category_id'] not in names:
            yield Fault('unknown-category', where, f'no category has id {entry["category_id"]}')
        problem = _coco_box_problem(entry, image)
        if problem:
            yield Fault('bad-box', where, problem)
        problem = _mask_problem(entry.get('segmentation'), image['width'], image['height']) if masks else ''
        if problem:
            yield Fault('bad-mask', where, problem)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _coco_box_problem(entry: dict, image: dict) -> str:
    box = entry['bbox']
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        return f'{box} is not [x, y, width, height]'
    if not _is_number(entry['area']) or entry['area'] <= 0:
        return f'area {entry["area"]} is not positive'
    x, y, width, height = box
    return box_problem((x, y, x + width, y + height), image['width'], image['height'])


def _mask_problem(mask: Any, width: int, height: int) -> str:
    if not mask:
        return 'it has no mask, and the config loads masks'
    if isinstance(mask, dict):
        counts = mask.get('counts')
        if list(mask.get('size', ())) != [height, width]:
            return f'run lengths of {mask.get("size")}, image is {[height, width]}'
        if isinstance(counts, list) and sum(counts) != height * width:
            return f'run lengths of {sum(counts)} pixels, image has {height * width}'
        return _decoding_error(mask) if isinstance(counts, str) else '' if counts else 'run lengths without counts'
    if not isinstance(mask, list):
        return f'neither polygons nor run lengths: {type(mask).__name__}'
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return 'a polygon needs three points of two numbers or more'
        if not all(map(_is_number, polygon)):
            return 'a polygon with something else than numbers'
    return ''


def _decoding_error(mask: dict) -> str:
    from pycocotools import mask as coco_mask

    try:
        coco_mask.decode(mask)
    except Exception as error:  # of pycocotools' C code
        return f'compressed run lengths that cannot be decoded: {error}'
    return ''


def list_faults(path: str, folder: str) -> Iterator[Fault]:
    """Looks through a list with lines ``file label``.

    Args:
        path: The list.
        folder: Folder of its files.
    """
    seen = set()
    labels_of: dict[str, set[int]] = defaultdict(set)
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except (ValueError, OSError) as error:  # of another encoding, or a folder
        yield Fault('malformed-line', path, str(error))
        return
    for number, line in enumerate(lines, 1):
        where = f'{path}, line {number}'
        name, _, text = line.strip().rpartition(' ')
        if not name or not text.lstrip('-').isdigit():
            yield Fault('malformed-line', where, repr(line[:80]))
            continue
        if name in seen:
            yield Fault('duplicate-id', where, name)
        seen.add(name)
        labels_of[str(Path(name).parent)].add(int(text))
    mixed = {name: labels for name, labels in labels_of.items() if len(labels) > 1}
    if 2 * len(mixed) < len(labels_of):  # otherwise folders are no classes
        for name, labels in sorted(mixed.items()):
            text = ', '.join(map(str, sorted(labels)[:5]))
            yield Fault('mixed-labels', str(Path(folder, name)), f'{text} in {path}')
