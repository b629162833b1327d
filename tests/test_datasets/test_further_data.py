"""A second round of small data sets: other classes, wrappers, loaders and files than in ``test_check_configs``."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_data import SIZE, coco_data, faults_of, first, folders, photo, seg_data

pytest.importorskip('mmseg')
pytest.importorskip('mmdet')
pytest.importorskip('mmpretrain')

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from mmsepvit.errors import UserError


@TRANSFORMS.register_module(force=True)
class ReadsBands(BaseTransform):
    """A loader of one's own, with a name of one's own."""

    def transform(self, results: dict) -> dict:
        results['img'] = np.asarray(Image.open(results['img_path']))
        return results


CASES: list[Any] = []

Make = Callable[[Path], dict]


def case(scope: str, *kinds: str, model: dict | None = None, **splits: Any) -> Callable[[Make], Make]:
    """Notes that the training data which the function makes in a folder have faults of these kinds, and no others."""

    def note(make: Make) -> Make:
        CASES.append(pytest.param(scope, model, make, splits, set(kinds), id=make.__name__))
        return make

    return note


def head(number: int, **options: Any) -> dict:
    return {'decode_head': {'num_classes': number, **options}}


# --- segmentation ---


def renamed(folder: Path, suffix: str, save: bool = True) -> None:
    for path in list(folder.iterdir()):
        if save:
            Image.open(path).save(path.with_name(path.stem + suffix))
            path.unlink()
        else:
            path.rename(path.with_name(path.stem + suffix))


def shipped(root: Path, name: str, values: tuple[int, ...], **options: Any) -> dict:
    data = {**seg_data(root, values), 'type': name, **options}
    data.pop('metainfo', None)
    return data


@case('mmseg', model=head(19))
def cityscapes(root: Path) -> dict:
    return shipped(root, 'CityscapesDataset', (0, 7, 18, 255), img_suffix='.jpg', seg_map_suffix='.png')


@case('mmseg', 'one-class', model=head(2))
def cityscapes_with_the_ids_of_other_files(root: Path) -> dict:
    data = shipped(root, 'CityscapesDataset', (0, 7, 8), img_suffix='.jpg', seg_map_suffix='.png')
    return {**data, 'metainfo': {'classes': ('road', 'car')}}  # 0 and 13 among all classes


@case('mmseg', model=head(21))
def voc_by_a_list(root: Path) -> dict:
    (root / 'list.txt').write_text(' 0 \n1\t\n2\n')
    return shipped(root, 'PascalVOCDataset', (0, 1, 20, 255), ann_file='list.txt')


@case('mmseg', 'missing-file', 'one-class')
def list_with_endings(root: Path) -> dict:
    (root / 'list.txt').write_text('0.jpg\n1.jpg\n')
    return {**seg_data(root), 'ann_file': 'list.txt'}


@case('mmseg', 'missing-file')
def list_that_is_not_there(root: Path) -> dict:
    return {**seg_data(root), 'ann_file': 'nope.txt'}


@case('mmseg', model=head(7))
def loveda(root: Path) -> dict:
    data = shipped(root, 'LoveDADataset', (0, 1, 7))
    renamed(root / 'images', '.png')
    return data


@case('mmseg')
def depth(root: Path) -> dict:
    photo(root / 'images/0.jpg')
    (root / 'annotations').mkdir()
    Image.fromarray(np.full(SIZE, 9000, dtype=np.uint16)).save(root / 'annotations/0.png')
    prefix = {'img_path': 'images', 'depth_map_path': 'annotations'}
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadDepthAnnotation'}]
    return {'type': 'NYUDataset', 'data_root': str(root), 'data_prefix': prefix, 'pipeline': steps}


@case('mmseg', model=head(2))
def images_and_maps_in_one_folder(root: Path) -> dict:
    data = seg_data(root)
    renamed(root / 'images', '_img.png')
    for path in list((root / 'maps').iterdir()):
        path.rename(root / 'images' / f'{path.stem}_mask.png')
    prefix = {'img_path': 'images', 'seg_map_path': 'images'}
    return {**data, 'img_suffix': '_img.png', 'seg_map_suffix': '_mask.png', 'data_prefix': prefix}


@case('mmseg', 'class-id-range', 'one-class', model=head(2))
def zero_is_no_class(root: Path) -> dict:
    return {**seg_data(root, (0, 1, 3)), 'reduce_zero_label': True}


@case('mmseg', 'class-id-range', model=head(2))
def ignored_by_the_data_alone(root: Path) -> dict:
    return {**seg_data(root, (0, 1, 7)), 'ignore_index': 7}


@case('mmseg', 'class-id-range', model=head(2, ignore_index=0))
def ignored_by_the_head_alone(root: Path) -> dict:
    return seg_data(root, (0, 1, 255))


@case('mmseg', model=head(2, ignore_index=200))
def ignored_by_both(root: Path) -> dict:
    return {**seg_data(root, (0, 1, 200)), 'ignore_index': 200}


@case('mmseg', model=head(2))
def maps_as_tif(root: Path) -> dict:
    data = seg_data(root)
    renamed(root / 'maps', '.tif')
    return {**data, 'seg_map_suffix': '.tif'}


@case('mmseg', 'unreadable-annotation')
def maps_as_jpeg(root: Path) -> dict:
    data = seg_data(root)
    renamed(root / 'maps', '.jpg')
    return {**data, 'seg_map_suffix': '.jpg'}


@case('mmseg', 'unreadable-annotation')
def map_with_transparency(root: Path) -> dict:
    data = seg_data(root)
    Image.open(root / 'maps/0.png').convert('LA').save(root / 'maps/0.png')
    return data


@case('mmseg', 'image-without-annotation', 'annotation-without-image')
def ending_in_capitals(root: Path) -> dict:
    data = seg_data(root)
    (root / 'images/0.jpg').rename(root / 'images/0.JPG')
    return data


@case('mmseg')
def grey_and_cmyk_images(root: Path) -> dict:
    data = seg_data(root)
    for i, mode in enumerate(('L', 'CMYK')):
        Image.open(root / f'images/{i}.jpg').convert(mode).save(root / f'images/{i}.jpg')
    return data


@case('mmseg')
def a_part_of_the_samples(root: Path) -> dict:
    return {**seg_data(root), 'indices': 2}


@case('mmseg', model=head(2))
def names_in_a_file(root: Path) -> dict:
    (root / 'classes.txt').write_text('background\ncrack\n')
    return {**seg_data(root), 'metainfo': {'classes': str(root / 'classes.txt')}}


@case('mmseg', 'class-names')
def names_under_the_old_key(root: Path) -> dict:
    return {**seg_data(root), 'metainfo': {'CLASSES': ('background', 'crack')}}


@case('mmseg')
def loader_of_ones_own(root: Path) -> dict:
    data = seg_data(root)
    data['pipeline'][0] = {'type': 'ReadsBands'}
    return data


@case('mmseg', 'unreadable-image')
def loader_of_ones_own_that_fails(root: Path) -> dict:
    data = loader_of_ones_own(root)
    (root / 'images/1.jpg').write_bytes(b'no image')
    return data


@case('mmseg', 'unreadable-image')
def pipeline_that_loads_nothing(root: Path) -> dict:
    return {**seg_data(root), 'pipeline': []}


@case('mmseg', 'dataset-class')
def two_datasets_with_other_names(root: Path) -> dict:
    data = seg_data(root)
    return {'type': 'ConcatDataset', 'datasets': [data, {**data, 'metainfo': {'classes': ('crack', 'background')}}]}


@case('mmseg', 'dataset-class')
def wrapper_with_a_wrong_argument(root: Path) -> dict:
    return {'type': 'RepeatDataset', 'dataset': {'type': 'ConcatDataset', 'datasets': [seg_data(root)]}, 'time': 3}


@case('mmseg')
def detection_data_under_another_scope(root: Path) -> dict:
    data = coco_data(root)
    steps = [data['pipeline'][0], {'type': 'mmdet.LoadAnnotations', 'with_bbox': True}]
    return {**data, 'type': 'mmdet.CocoDataset', 'pipeline': steps}


def test_ignored_in_the_metric_too(tmp_path: Path) -> None:
    data = {**seg_data(tmp_path, (0, 1, 7)), 'ignore_index': 7}
    model = head(2, ignore_index=7)
    for metric, count in (({'type': 'IoUMetric'}, 1), ({'type': 'mmseg.IoUMetric', 'ignore_index': 7}, 0)):
        faults = faults_of('mmseg', model, val={**data, 'test_mode': True}, val_evaluator=metric)
        assert [what for _, _, what in faults] == ['7 is ignored here, and the metric ignores 255'] * count


def test_data_without_a_type(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'train_dataloader\.dataset'):
        faults_of('mmseg', train={**seg_data(tmp_path), 'type': None})


# --- detection ---


def coco_case(name: str, change: Callable[[dict], Any], *kinds: str, **options: Any) -> None:
    def make(root: Path) -> dict:
        return {**coco_data(root, change), **options}

    make.__name__ = name
    case('mmdet', *kinds)(make)


coco_case('no_objects', lambda content: content['annotations'].clear(), 'no-objects')
coco_case('name_in_capitals', lambda content: None, 'unknown-category', metainfo={'classes': ('Bolt', 'nut')})
coco_case(
    'one_name_with_two_ids',
    lambda content: content['categories'].insert(1, {'id': 5, 'name': 'bolt'}),
    *('unknown-category', 'class-id-range'),
)
coco_case(
    'ids_as_texts',
    lambda content: [image.update(id=str(image['id'])) for image in content['images']],
    *('annotation-without-image', 'no-objects'),
)
coco_case('without_iscrowd', lambda content: [entry.pop('iscrowd') for entry in content['annotations']])
_SPOILT = {'malformed-json', 'annotation-without-image', 'dataset-class'}
coco_case('width_as_text', lambda content: content['images'][0].update(width='30'), *_SPOILT)
coco_case('no_file_name', lambda content: content['images'][0].update(file_name=None), *_SPOILT)
coco_case('id_as_list', lambda content: content['images'][0].update(id=[1]), *_SPOILT)
coco_case('box_of_none', lambda content: first(content).update(bbox=None), 'bad-box', 'dataset-class')
coco_case('a_folder_for_a_file', lambda content: None, 'malformed-json', 'dataset-class', ann_file='images')
coco_case('no_file', lambda content: None, 'dataset-class', ann_file=None)


@case('mmdet')
def wrappers_within_wrappers(root: Path) -> dict:
    balanced = {'type': 'ClassBalancedDataset', 'oversample_thr': 1e-3, 'dataset': coco_data(root)}
    return {'type': 'RepeatDataset', 'times': 2, 'dataset': balanced}


@case('mmdet', 'dataset-class')
def wrapper_that_asks_another_for_its_classes(root: Path) -> dict:
    repeated = {'type': 'RepeatDataset', 'times': 2, 'dataset': coco_data(root)}
    return {'type': 'ClassBalancedDataset', 'oversample_thr': 1e-3, 'dataset': repeated}


def voc(root: Path, name: str) -> dict:
    photo(root / 'VOC2007/JPEGImages/a.jpg')
    (root / 'VOC2007/Annotations').mkdir()
    (root / 'list.txt').write_text('a\n')
    box = '<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>13</xmax><ymax>9</ymax></bndbox>'
    thing = f'<object><name>{name}</name><difficult>0</difficult>{box}</object>'
    (root / 'VOC2007/Annotations/a.xml').write_text(
        f'<annotation><size><width>30</width><height>20</height></size>{thing}</annotation>'
    )
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
    prefix = {'sub_data_root': 'VOC2007/'}
    options = {'data_root': str(root), 'ann_file': 'list.txt', 'data_prefix': prefix, 'pipeline': steps}
    return {'type': 'VOCDataset', **options}


@case('mmdet', model={'roi_head': {'bbox_head': {'num_classes': 20}}})
def voc_objects(root: Path) -> dict:
    return voc(root, 'dog')


@case('mmdet', 'no-objects')
def voc_objects_of_no_class(root: Path) -> dict:
    return voc(root, 'Dog')


def video(root: Path) -> dict:
    images, annotations = [], []
    for i in range(3):
        Image.new('RGB', (40, 40)).save(photo(root / f'train/v/{i}.jpg', i))
        images.append({'id': i, 'video_id': 1, 'file_name': f'v/{i}.jpg', 'height': 40, 'width': 40, 'frame_id': i})
        entry = {'id': i, 'image_id': i, 'category_id': 1, 'bbox': [2, 3, 10, 8], 'area': 80, 'instance_id': 0}
        annotations.append({**entry, 'visibility': 1.0, 'mot_conf': 1.0, 'iscrowd': False})
    content = {'info': {}, 'videos': [{'id': 1, 'name': 'v'}], 'categories': [{'id': 1, 'name': 'pedestrian'}]}
    (root / 'ann.json').write_text(json.dumps({**content, 'images': images, 'annotations': annotations}))
    frames = {'type': 'UniformRefFrameSample', 'num_ref_imgs': 1, 'frame_range': 1, 'filter_key_img': True}
    loading = [{'type': 'LoadImageFromFile'}, {'type': 'LoadTrackAnnotations'}]
    steps = [frames, {'type': 'TransformBroadcaster', 'transforms': loading}, {'type': 'PackTrackInputs'}]
    options = {'data_root': str(root), 'ann_file': 'ann.json', 'data_prefix': {'img_path': 'train'}, 'pipeline': steps}
    return {'type': 'MOTChallengeDataset', 'visibility_thr': -1, 'metainfo': {'classes': ('pedestrian',)}, **options}


@case('mmdet')
def frames_of_a_video(root: Path) -> dict:
    return video(root)


@case('mmdet', 'unreadable-image')
def frame_that_is_empty(root: Path) -> dict:
    data = video(root)
    (root / 'train/v/1.jpg').write_bytes(b'')
    return data


# --- classification ---


def listed(root: Path, content: bytes, names: tuple[str, ...] = ('cat', 'dog')) -> dict:
    data = folders(root, names)
    (root / 'list.txt').write_bytes(content)
    return {**data, 'ann_file': str(root / 'list.txt'), 'metainfo': {'classes': ('cat', 'dog')}}


@case('mmpretrain')
def folder_names_with_spaces(root: Path) -> dict:
    return listed(root, b'the cat/0.png 0\ndog/1.png 1\n', ('the cat', 'dog'))


@case('mmpretrain', 'malformed-line', 'dataset-class')
def list_with_tabs(root: Path) -> dict:
    return listed(root, b'cat/0.png\t0\ndog/1.png\t1\n')


@case('mmpretrain', 'malformed-line', 'dataset-class')
def list_in_another_encoding(root: Path) -> dict:
    return listed(root, 'cat/0.png 0\nd\xf6g/1.png 1\n'.encode('latin-1'))


@case('mmpretrain', 'class-id-range')
def labels_from_one_on(root: Path) -> dict:
    return listed(root, b'cat/0.png 1\ndog/1.png 2\n')


@case('mmpretrain', 'class-names')
def names_in_another_order_than_the_folders(root: Path) -> dict:
    return {**folders(root), 'metainfo': {'classes': ('fox', 'cat', 'dog')}}


@case('mmpretrain', 'image-without-annotation')
def image_of_another_ending(root: Path) -> dict:
    data = folders(root)
    Image.open(root / 'cat/0.png').save(root / 'cat/2.webp')
    return data


@case('mmpretrain')
def what_other_programs_leave(root: Path) -> dict:
    data = folders(root)
    (root / '.ipynb_checkpoints').mkdir()
    for name in ('Thumbs.db', '.DS_Store'):
        (root / 'cat' / name).write_text('x')
    (root / 'cat/0.png').rename(root / 'cat/0.PNG')
    return data


@case('mmpretrain', 'dataset-class')
def images_without_folders(root: Path) -> dict:
    photo(root / '0.png')
    return folders(root, ())


@case('mmpretrain')
def folds(root: Path) -> dict:
    return {'type': 'KFoldDataset', 'dataset': folders(root), 'fold': 0, 'num_splits': 2}


@case('mmpretrain', model={'head': {'num_classes': 10}})
def images_in_memory(root: Path) -> dict:
    for part in ('train', 't10k'):
        (root / f'{part}-images-idx3-ubyte').write_bytes(struct.pack('>IIII', 2051, 4, 28, 28) + bytes(4 * 784))
        (root / f'{part}-labels-idx1-ubyte').write_bytes(struct.pack('>II', 2049, 4) + bytes(range(4)))
    return {'type': 'MNIST', 'data_root': str(root), 'split': 'train', 'pipeline': [{'type': 'PackInputs'}]}


@case('mmpretrain', 'dataset-class')
def data_that_could_be_downloaded(root: Path) -> dict:
    return {'type': 'CIFAR10', 'data_root': str(root), 'split': 'train', 'pipeline': []}


@case('mmpretrain', 'missing-folder', 'missing-file')
def data_of_a_class_with_folders_of_its_own(root: Path) -> dict:
    return {'type': 'Flowers102', 'data_root': str(root), 'split': 'train', 'pipeline': []}


@pytest.mark.parametrize(('scope', 'model', 'make', 'splits', 'kinds'), CASES)
def test_kinds(scope: str, model: dict | None, make: Make, splits: dict, kinds: set[str], tmp_path: Path) -> None:
    faults = faults_of(scope, model, train=make(tmp_path), **splits)
    assert {kind for kind, _, _ in faults} == kinds, faults
