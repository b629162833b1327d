"""Faults to plant in a copy of the mini data: each function spoils a split and returns a part of the name to be told.

A function's name begins with the data set that it spoils.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CONFIGS = {
    'ade': 'upernet_sepvit_t_ade20k',
    'coco': 'mask_rcnn_sepvit_t_1x_coco',
    'imagenet': 'sepvit_t_imagenet',
}
"""Data set to a config that reads it."""

ADE = {'train': 'training', 'val': 'validation'}


def folder_of(mini: Path, data_set: str) -> Path:
    """The folder of a data set in the mini data."""
    return mini / data_set / 'ADEChallengeData2016' if data_set == 'ade' else mini / data_set


def first(folder: Path, pattern: str = '**/*.*') -> Path:
    return min(path for path in folder.glob(pattern) if path.is_file())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# --- what is planted; each returns a part of the place that must be named ---


def ade_image_gone(root: Path, split: str) -> str:
    path = first(root / 'images' / ADE[split])
    path.unlink()
    return path.stem


def ade_annotation_gone(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    path.unlink()
    return path.stem


def ade_image_truncated(root: Path, split: str) -> str:
    path = first(root / 'images' / ADE[split])
    truncate(path)
    return path.name


def ade_image_empty(root: Path, split: str) -> str:
    path = first(root / 'images' / ADE[split])
    path.write_bytes(b'')
    return path.name


def ade_annotation_truncated(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    truncate(path)
    return path.name


def ade_annotation_coloured(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    Image.open(path).convert('RGB').save(path)
    return path.name


def ade_class_151(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    values = np.array(Image.open(path))
    values[0, 0] = 151
    Image.fromarray(values).save(path)
    return path.name


def ade_sizes_differ(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    Image.fromarray(np.array(Image.open(path))[:-1]).save(path)
    return path.name


def ade_renamed_suffix(root: Path, split: str) -> str:
    path = first(root / 'images' / ADE[split])
    path.rename(path.with_suffix('.jpeg'))
    return path.stem


def edit_json(root: Path, split: str, change: Callable[[dict], object]) -> str:
    path = root / f'annotations/instances_{split}2017.json'
    content = json.loads(path.read_text())
    result = change(content)
    path.write_text(json.dumps(content))
    return str(result)


def coco_image_gone(root: Path, split: str) -> str:
    path = first(root / f'{split}2017')
    path.unlink()
    return path.name


def coco_image_truncated(root: Path, split: str) -> str:
    path = first(root / f'{split}2017')
    truncate(path)
    return path.name


def coco_image_unlisted(root: Path, split: str) -> str:
    shutil.copy(first(root / f'{split}2017'), root / f'{split}2017/000000999999.jpg')
    return '000000999999.jpg'


def coco_json_truncated(root: Path, split: str) -> str:
    path = root / f'annotations/instances_{split}2017.json'
    truncate(path)
    return path.name


def coco_key_missing(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        del content['annotations'][0]['area']
        return f'instances_{split}2017.json'

    return edit_json(root, split, change)


def set_first(root: Path, split: str, **values: object) -> str:
    """Sets keys of the first annotation."""

    def change(content: dict) -> str:
        content['annotations'][0].update(values)
        return f'annotation {content["annotations"][0]["id"]}'

    return edit_json(root, split, change)


def coco_box_outside(root: Path, split: str) -> str:
    return set_first(root, split, bbox=[5, 5, 100000, 20])


def coco_box_left_of_image(root: Path, split: str) -> str:
    return set_first(root, split, bbox=[-40, 5, 60, 20])


def coco_box_flat(root: Path, split: str) -> str:
    return set_first(root, split, bbox=[5, 5, 20, 0])


def coco_box_of_three(root: Path, split: str) -> str:
    return set_first(root, split, bbox=[5, 5, 20])


def coco_category_unknown(root: Path, split: str) -> str:
    return set_first(root, split, category_id=12)  # COCO's ids have holes, and this is one


def coco_polygon_of_two_points(root: Path, split: str) -> str:
    return set_first(root, split, segmentation=[[0, 0, 9, 9]])


def coco_runs_too_short(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        box = content['annotations'][0]
        image = next(i for i in content['images'] if i['id'] == box['image_id'])
        size = [image['height'], image['width']]
        box.update(segmentation={'size': size, 'counts': [5, 7]}, iscrowd=1)
        return f'annotation {box["id"]}'

    return edit_json(root, split, change)


def coco_annotation_of_no_image(root: Path, split: str) -> str:
    return set_first(root, split, image_id=987654321)


def coco_class_missing(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        used = {box['category_id'] for box in content['annotations']}
        free = next(c for c in content['categories'] if c['id'] not in used)
        content['categories'].remove(free)
        return f'instances_{split}2017.json'

    return edit_json(root, split, change)


def coco_size_wrong(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        content['images'][0]['width'] += 2
        return content['images'][0]['file_name']

    return edit_json(root, split, change)


def coco_id_twice(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        content['annotations'][1]['id'] = content['annotations'][0]['id']
        return f'instances_{split}2017.json'

    return edit_json(root, split, change)


def edit_list(root: Path, split: str, change: Callable[[list[str]], object]) -> str:
    path = root / f'meta/{split}.txt'
    lines = path.read_text().splitlines()
    result = change(lines)
    path.write_text('\n'.join(lines) + '\n')
    return str(result)


def imagenet_file_gone(root: Path, split: str) -> str:
    path = first(root / split)
    path.unlink()
    return path.name


def imagenet_truncated(root: Path, split: str) -> str:
    path = first(root / split)
    truncate(path)
    return path.name


def imagenet_not_an_image(root: Path, split: str) -> str:
    path = first(root / split)
    path.write_text('<html>quota exceeded</html>')
    return path.name


def imagenet_unlisted(root: Path, split: str) -> str:
    return edit_list(root, split, lambda lines: lines.pop(0).split(' ')[0])


def imagenet_label_1000(root: Path, split: str) -> str:
    # Both of the class, so that it is not a class of two labels too.
    def change(lines: list[str]) -> str:
        folder = lines[0].split('/')[0]
        for i, line in enumerate(lines):
            if line.startswith(folder):
                lines[i] = line.rsplit(' ', 1)[0] + ' 1000'
        return lines[0].rsplit(' ', 1)[0]

    return edit_list(root, split, change)


def imagenet_two_labels(root: Path, split: str) -> str:
    def change(lines: list[str]) -> str:
        lines[0] = lines[0].rsplit(' ', 1)[0] + ' 999'
        return lines[0].split('/')[0]

    return edit_list(root, split, change)


def imagenet_line_twice(root: Path, split: str) -> str:
    return edit_list(root, split, lambda lines: lines.append(lines[0]) or f'line {len(lines)}')


def imagenet_empty_folder(root: Path, split: str) -> str:
    (root / split / 'n99999999').mkdir()
    return 'n99999999'


# --- what the first checker did not find, or a training does not survive ---


def spoil_image(path: Path, how: str) -> str:
    """Spoils an image file in one of several ways; returns its stem."""
    image = Image.open(path)
    image.load()
    if how == 'empty':
        path.write_bytes(b'')
    elif how == 'text':
        path.write_text('<html>quota exceeded</html>')
    elif how == 'gif':
        image.convert('P').save(path, format='GIF')
    elif how == 'thin':
        image.resize((image.width, 1)).save(path)
    elif how == 'turned':  # lies on its side by its header alone
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    return path.stem


def _image_plant(data_set: str, how: str) -> Callable[[Path, str], str]:
    folders = {'ade': lambda split: f'images/{ADE[split]}', 'coco': lambda split: f'{split}2017'}

    def plant(root: Path, split: str) -> str:
        folder = root / folders.get(data_set, str)(split)
        # COCO's first images may have no objects, and then no training reads them.
        path = sorted(path for path in folder.glob('**/*') if path.is_file())[1 if split == 'train' else 0]
        return spoil_image(path, how)

    plant.__name__ = f'{data_set}_image_{how}'
    return plant


def ade_annotation_empty(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    path.write_bytes(b'')
    return path.name


def ade_annotation_of_16_bits(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    Image.fromarray(np.array(Image.open(path)).astype(np.uint16) + 300).save(path)
    return path.name


def ade_annotation_turned(root: Path, split: str) -> str:
    path = first(root / 'annotations' / ADE[split])
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    return path.name


def coco_mask_missing(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        del content['annotations'][0]['segmentation']
        return f'annotation {content["annotations"][0]["id"]}'

    return edit_json(root, split, change)


def _runs(root: Path, split: str, turned: bool, counts: object) -> str:
    def change(content: dict) -> str:
        box = content['annotations'][0]
        image = next(i for i in content['images'] if i['id'] == box['image_id'])
        size = [image['width'], image['height']] if turned else [image['height'], image['width']]
        box.update(segmentation={'size': size, 'counts': counts or [9, image['height'] * image['width'] - 9]})
        return f'annotation {box["id"]}'

    return edit_json(root, split, change)


def coco_box_beside_a_turned_image(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        box = content['annotations'][0]
        image = next(i for i in content['images'] if i['id'] == box['image_id'])
        width, height = image['width'], image['height']
        place = [width - 9, 5, 8, 8] if width > height else [5, height - 9, 8, 8]
        box.update(bbox=place, area=64)
        spoil_image(root / f'{split}2017' / image['file_name'], 'turned')
        return image['file_name']

    return edit_json(root, split, change)


def coco_runs_turned(root: Path, split: str) -> str:
    return _runs(root, split, True, None)


def coco_runs_of_garbage(root: Path, split: str) -> str:
    return _runs(root, split, False, 'garbage~~')


def coco_mask_of_text(root: Path, split: str) -> str:
    return set_first(root, split, segmentation='none')


def coco_box_of_nan(root: Path, split: str) -> str:
    return set_first(root, split, bbox=[float('nan'), 5, 20, 20])


def coco_box_of_texts(root: Path, split: str) -> str:
    return set_first(root, split, bbox=['5', '5', '20', '20'])


def coco_area_missing(root: Path, split: str) -> str:
    return set_first(root, split, area=None)


def coco_sizes_swapped(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        used = content['annotations'][0]['image_id']
        image = next(i for i in content['images'] if i['id'] == used)
        image.update(width=image['height'], height=image['width'])
        return image['file_name']

    return edit_json(root, split, change)


def coco_categories_in_another_order(root: Path, split: str) -> str:
    return edit_json(root, split, lambda content: content['categories'].reverse() or f'instances_{split}2017.json')


def coco_without_images(root: Path, split: str) -> str:
    return edit_json(root, split, lambda content: content.pop('images') and f'instances_{split}2017.json')


def coco_without_categories(root: Path, split: str) -> str:
    return edit_json(root, split, lambda content: content.pop('categories') and f'instances_{split}2017.json')


def coco_file_of_another_folder(root: Path, split: str) -> str:
    def change(content: dict) -> str:
        used = content['annotations'][0]['image_id']
        image = next(i for i in content['images'] if i['id'] == used)
        image['file_name'] = f'old/{image["file_name"]}'
        return image['file_name']

    return edit_json(root, split, change)


def imagenet_label_negative(root: Path, split: str) -> str:
    def change(lines: list[str]) -> str:
        names = [line.rsplit(' ', 1)[0] for line in lines]
        lines[:] = [
            f'{name} -1' if name.split('/')[0] == names[0].split('/')[0] else line for name, line in zip(names, lines)
        ]
        return names[0]

    return edit_list(root, split, change)


def imagenet_line_without_label(root: Path, split: str) -> str:
    return edit_list(root, split, lambda lines: lines.append('n01440764/some.JPEG') or f'{split}.txt')


def imagenet_label_of_text(root: Path, split: str) -> str:
    return edit_list(root, split, lambda lines: lines.append('n01440764/some.JPEG dog') or f'{split}.txt')


def imagenet_list_empty(root: Path, split: str) -> str:
    (root / f'meta/{split}.txt').write_text('')
    return f'{split}.txt'


def imagenet_folder_renamed(root: Path, split: str) -> str:
    folder = min(path for path in (root / split).iterdir() if path.is_dir())
    folder.rename(folder.with_name('renamed'))
    return folder.name


PLANTS = [
    (ade_image_gone, 'annotation-without-image'),
    (ade_annotation_gone, 'image-without-annotation'),
    (ade_image_truncated, 'unreadable-image'),
    (ade_image_empty, 'unreadable-image'),
    (ade_annotation_truncated, 'unreadable-annotation'),
    (ade_annotation_coloured, 'unreadable-annotation'),
    (ade_class_151, 'class-id-range'),
    (ade_sizes_differ, 'size-mismatch'),
    (ade_renamed_suffix, 'annotation-without-image'),
    (coco_image_gone, 'missing-file'),
    (coco_image_truncated, 'unreadable-image'),
    (coco_image_unlisted, 'image-without-annotation'),
    (coco_json_truncated, 'malformed-json dataset-class'),
    (coco_key_missing, 'malformed-json dataset-class'),
    (coco_box_outside, 'bad-box'),
    (coco_box_left_of_image, 'bad-box'),
    (coco_box_flat, 'bad-box'),
    (coco_box_of_three, 'bad-box dataset-class'),
    (coco_category_unknown, 'unknown-category'),
    (coco_polygon_of_two_points, 'bad-mask'),
    (coco_runs_too_short, 'bad-mask'),
    (coco_annotation_of_no_image, 'annotation-without-image'),
    (coco_class_missing, 'unknown-category'),
    (coco_size_wrong, 'size-mismatch'),
    (coco_id_twice, 'duplicate-id dataset-class'),
    (imagenet_file_gone, 'missing-file'),
    (imagenet_truncated, 'unreadable-image'),
    (imagenet_not_an_image, 'unreadable-image'),
    (imagenet_unlisted, 'image-without-annotation'),
    (imagenet_label_1000, 'class-id-range'),
    (imagenet_two_labels, 'mixed-labels'),
    (imagenet_line_twice, 'duplicate-id'),
    (imagenet_empty_folder, 'empty-class-folder'),
    *((_image_plant(data_set, how), 'unreadable-image') for data_set in CONFIGS for how in ('text', 'gif')),
    *((_image_plant(data_set, 'empty'), 'unreadable-image') for data_set in ('coco', 'imagenet')),
    (_image_plant('ade', 'thin'), 'tiny-image size-mismatch'),
    (_image_plant('coco', 'thin'), 'tiny-image size-mismatch'),
    (_image_plant('imagenet', 'thin'), 'tiny-image'),
    (_image_plant('ade', 'turned'), 'size-mismatch'),
    (_image_plant('coco', 'turned'), 'size-mismatch'),
    (coco_box_beside_a_turned_image, 'size-mismatch'),
    (ade_annotation_empty, 'unreadable-annotation'),
    (ade_annotation_of_16_bits, 'class-id-range'),
    (ade_annotation_turned, 'size-mismatch'),
    (coco_mask_missing, 'bad-mask'),
    (coco_runs_turned, 'bad-mask'),
    (coco_runs_of_garbage, 'bad-mask'),
    (coco_mask_of_text, 'bad-mask'),
    (coco_box_of_nan, 'bad-box'),
    (coco_box_of_texts, 'bad-box dataset-class'),
    (coco_area_missing, 'bad-box dataset-class'),
    (coco_sizes_swapped, 'size-mismatch bad-box'),
    (coco_categories_in_another_order, 'class-names'),
    (coco_without_images, 'malformed-json no-images'),
    (coco_without_categories, 'malformed-json dataset-class'),
    (coco_file_of_another_folder, 'missing-file image-without-annotation'),
    (imagenet_label_negative, 'class-id-range'),
    (imagenet_line_without_label, 'malformed-line dataset-class'),
    (imagenet_label_of_text, 'malformed-line dataset-class'),
    (imagenet_list_empty, 'no-images'),
    (imagenet_folder_renamed, 'missing-file'),
]
"""Plants, each with the kinds of faults that the checker finds; the first names the place."""
