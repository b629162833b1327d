"""Small data sets of many kinds: the good ones pass, and what cannot be meant is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import SIZE, coco_data, faults_of, first, folders, kinds_of, photo, seg_data

pytest.importorskip('mmseg')
pytest.importorskip('mmdet')
pytest.importorskip('mmpretrain')

# --- segmentation ---


@pytest.mark.parametrize(
    ('values', 'mode', 'changes'),
    [
        ((0, 1), 'L', {}),
        ((0, 1), '1', {}),
        ((0, 1), 'P', {}),
        ((0, 1, 255), 'I;16', {}),
        ((0, 1, 2, 255), 'L', {'reduce_zero_label': True}),
        ((0, 1, 150), 'L', {'type': 'ADE20KDataset', 'metainfo': {'classes': ('wall', 'building', 'flag')}}),
        ((0, 1, 7), 'L', {'ignore_index': 7}),
    ],
)
def test_good_maps(tmp_path: Path, values: tuple[int, ...], mode: str, changes: dict) -> None:
    data = {**seg_data(tmp_path, values, mode), **changes}
    if data['type'] == 'ADE20KDataset':
        data |= {'img_suffix': '.jpg', 'seg_map_suffix': '.png', 'reduce_zero_label': True}
    head = {'num_classes': len(data['metainfo']['classes']), 'ignore_index': data.get('ignore_index', 255)}
    assert faults_of('mmseg', {'decode_head': head}, train=data, val={**data, 'test_mode': True}) == []


def test_test_split_without_annotations(tmp_path: Path) -> None:
    data = seg_data(tmp_path)
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'PackSegInputs'}]
    for prefix in ({'img_path': 'images'}, {'img_path': 'images', 'seg_map_path': 'not_there'}):
        test = {**data, 'data_prefix': prefix, 'pipeline': pipeline}
        assert faults_of('mmseg', train=data, test=test) == []


def test_images_of_another_decoder(tmp_path: Path) -> None:
    tifffile = pytest.importorskip('tifffile')
    data = seg_data(tmp_path)
    for path in (tmp_path / 'images').iterdir():
        tifffile.imwrite(path.with_suffix('.tif'), np.ones((*SIZE, 6), dtype=np.float32))
        path.unlink()
    data['img_suffix'] = '.tif'
    data['pipeline'][0] |= {'imdecode_backend': 'tifffile', 'color_type': 'unchanged'}
    assert faults_of('mmseg', train=data) == []
    tifffile.imwrite(tmp_path / 'images/1.tif', np.full((*SIZE, 6), np.nan, dtype=np.float32))
    [(kind, where, _)] = faults_of('mmseg', train=data)
    assert (kind, Path(where).name) == ('unreadable-image', '1.tif')


def test_list_that_is_a_part_of_a_folder(tmp_path: Path) -> None:
    data = seg_data(tmp_path)
    (tmp_path / 'train.txt').write_text('1\n')
    (tmp_path / 'val.txt').write_text('2\n')
    splits = {split: {**data, 'ann_file': f'{split}.txt'} for split in ('train', 'val')}
    assert faults_of('mmseg', **splits) == []


def test_wrappers_are_looked_into(tmp_path: Path) -> None:
    one, two = seg_data(tmp_path / 'one'), seg_data(tmp_path / 'two')
    both = {'type': 'ConcatDataset', 'datasets': [one, two]}
    mixed = {'type': 'MultiImageMixDataset', 'dataset': both, 'pipeline': [{'type': 'PackSegInputs'}]}
    train = {'type': 'RepeatDataset', 'times': 9, 'dataset': mixed}
    assert faults_of('mmseg', train=train) == []
    (tmp_path / 'two/images/1.jpg').write_bytes(b'')
    [(kind, where, what)] = faults_of('mmseg', train=train)
    assert (kind, where, what) == ('unreadable-image', str(tmp_path / 'two/images/1.jpg'), 'the file is empty')


def test_masks_of_0_and_255(tmp_path: Path) -> None:
    assert kinds_of('mmseg', train=seg_data(tmp_path, (0, 255))) == {'one-class'}


def test_values_that_do_not_fit_into_a_byte(tmp_path: Path) -> None:
    # 256 and 257 would be loaded as 0 and 1.
    assert kinds_of('mmseg', train=seg_data(tmp_path, (256, 257), 'I;16')) == {'class-id-range'}


def test_classes_that_are_a_text(tmp_path: Path) -> None:
    data = seg_data(tmp_path)
    data['metainfo'] = {'classes': ('bolt')}  # the comma is missing
    [(kind, where, what)] = faults_of('mmseg', train=data)
    assert kind == 'class-names'
    assert where == 'train_dataloader.dataset'
    assert "('bolt',)" in what


@pytest.mark.parametrize('head', [{'num_classes': 1}, {'num_classes': 2, 'out_channels': 1}, {'num_classes': 150}])
def test_heads_that_fit(tmp_path: Path, head: dict) -> None:
    assert faults_of('mmseg', {'decode_head': head}, train=seg_data(tmp_path)) == []


def test_head_with_fewer_classes(tmp_path: Path) -> None:
    data = seg_data(tmp_path, (0, 1, 2))
    data['metainfo'] = {'classes': ('background', 'crack', 'rust')}
    # An auxiliary head may have classes of its own, such as edges.
    model = {'decode_head': [{'num_classes': 3}, {'num_classes': 2}], 'auxiliary_head': {'num_classes': 2}}
    [(kind, _, what)] = faults_of('mmseg', model, train=data)
    assert kind == 'class-count'
    assert what == 'model.decode_head.1.num_classes is 2, the dataset has 3 classes'


def test_validation_with_classes_in_another_order(tmp_path: Path) -> None:
    data = seg_data(tmp_path)
    val = {**data, 'metainfo': {'classes': ('crack', 'background')}}
    [(kind, where, what)] = faults_of('mmseg', train=data, val=val)
    assert (kind, where) == ('class-names', 'val_dataloader.dataset')
    assert "label 0 is 'crack' here and 'background' in training" in what


# --- detection ---


def crowd(content: dict) -> None:
    runs = {'size': list(SIZE), 'counts': [100, SIZE[0] * SIZE[1] - 100]}
    first(content).update(segmentation=runs, iscrowd=1)


@pytest.mark.parametrize(
    ('change', 'masks', 'changes'),
    [
        (None, True, {}),
        (crowd, True, {}),
        (lambda content: first(content).pop('segmentation'), False, {}),
        (None, True, {'metainfo': {'classes': ('nut',)}}),
        (lambda content: content.pop('info'), True, {}),  # in training nobody asks for it
    ],
)
def test_good_objects(tmp_path: Path, change: Callable, masks: bool, changes: dict) -> None:
    data = {**coco_data(tmp_path, change, masks), **changes}
    model = {'roi_head': {'bbox_head': {'num_classes': len(data['metainfo']['classes'])}}}
    balanced = {'type': 'ClassBalancedDataset', 'oversample_thr': 0.5, 'dataset': data}
    assert faults_of('mmdet', model, train=balanced, val={**data, 'test_mode': True}) == []


def turn(root: Path) -> None:
    """Lays an image on its side, and says so in its header; its annotation has the size in the file."""
    path = root / 'images/1.jpg'
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def test_image_that_its_header_turns(tmp_path: Path) -> None:
    data = coco_data(tmp_path)
    turn(tmp_path)
    faults = faults_of('mmdet', train=data)
    [(_, where, what)] = [fault for fault in faults if fault[0] == 'size-mismatch']
    assert Path(where).name == '1.jpg'
    assert what == 'it loads as 20x30, the annotation says 30x20; its EXIF header turns it'
    # Loaded without turning it, the size is right.
    data['pipeline'][0]['color_type'] = 'color_ignore_orientation'
    data['pipeline'][0]['imdecode_backend'] = 'pillow'
    assert faults_of('mmdet', train=data) == []


@pytest.mark.parametrize(
    ('change', 'kind'),
    [
        (lambda content: first(content).pop('segmentation'), 'bad-mask'),
        (lambda content: first(content).update(segmentation=[]), 'bad-mask'),
        (lambda content: first(content).update(segmentation={'size': [*SIZE], 'counts': 'garbage~~'}), 'bad-mask'),
        (lambda content: first(content).update(segmentation={'size': [*SIZE][::-1], 'counts': [600]}), 'bad-mask'),
        (lambda content: first(content).update(bbox=[float('nan'), 0, 5, 5]), 'bad-box'),
        (lambda content: content['categories'].reverse(), 'class-names'),
    ],
)
def test_bad_objects(tmp_path: Path, change: Callable, kind: str) -> None:
    faults = faults_of('mmdet', train=coco_data(tmp_path, change))
    assert {found for found, _, _ in faults} == {kind}
    assert 'ann.json' in faults[0][1]


def test_metric_file_without_info(tmp_path: Path) -> None:
    data = coco_data(tmp_path, lambda content: content.pop('info'))
    evaluator = {'type': 'CocoMetric', 'ann_file': str(tmp_path / 'ann.json')}
    [(kind, where, _)] = faults_of('mmdet', train=data, val={**data, 'test_mode': True}, val_evaluator=evaluator)
    assert (kind, Path(where).name) == ('metric-file', 'ann.json')


@pytest.mark.parametrize('number', [1, 80])
def test_detection_head_with_another_number(tmp_path: Path, number: int) -> None:
    # Too many are a fault too: mmdet's metric has no name for what they find.
    model = {'roi_head': {'bbox_head': [{'num_classes': 2}, {'num_classes': number}]}, 'rpn_head': {'num_classes': 1}}
    [(kind, _, what)] = faults_of('mmdet', model, train=coco_data(tmp_path))
    assert kind == 'class-count'
    assert f'bbox_head.1.num_classes is {number}' in what


def test_objects_of_xml_files(tmp_path: Path) -> None:
    photo(tmp_path / 'JPEGImages/a.jpg')
    (tmp_path / 'Annotations').mkdir()
    (tmp_path / 'train.txt').write_text('a\n')

    def write(x2: int) -> None:
        (tmp_path / 'Annotations/a.xml').write_text(
            '<a><size><width>30</width><height>20</height></size><object><name>dog</name><bndbox><xmin>3</xmin>'
            f'<ymin>3</ymin><xmax>{x2}</xmax><ymax>9</ymax></bndbox></object></a>'
        )

    data = {
        'type': 'XMLDataset',
        'data_root': str(tmp_path),
        'data_prefix': {'sub_data_root': ''},
        'ann_file': 'train.txt',
        'img_subdir': 'JPEGImages',
        'ann_subdir': 'Annotations',
        'metainfo': {'classes': ('dog',)},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}],
    }
    write(20)
    assert faults_of('mmdet', train=data) == []
    write(45)
    assert kinds_of('mmdet', train=data) == {'bad-box'}


# --- classification ---


def test_good_folders(tmp_path: Path) -> None:
    train, val = folders(tmp_path / 'train'), folders(tmp_path / 'val')
    test = {**train, 'with_label': False}
    assert faults_of('mmpretrain', {'head': {'num_classes': 3}}, train=train, val=val, test=test) == []


def test_validation_that_lacks_a_class(tmp_path: Path) -> None:
    train, val = folders(tmp_path / 'train'), folders(tmp_path / 'val', ('cat', 'fox'))
    [(kind, where, what)] = faults_of('mmpretrain', train=train, val=val)
    assert (kind, where) == ('class-names', 'val_dataloader.dataset')
    assert what == "label 1 is 'fox' here and 'dog' in training (2 and 3 classes)"


def test_classifier_with_fewer_classes(tmp_path: Path) -> None:
    assert kinds_of('mmpretrain', {'head': {'num_classes': 2}}, train=folders(tmp_path)) == {'class-count'}


def test_list_whose_folders_are_no_classes(tmp_path: Path) -> None:
    data = folders(tmp_path / 'images', ('march', 'april'))
    (tmp_path / 'list.txt').write_text('march/0.png 0\nmarch/1.png 1\napril/0.png 1\napril/1.png 0\n')
    data |= {'ann_file': str(tmp_path / 'list.txt'), 'metainfo': {'classes': ('cat', 'dog')}}
    assert faults_of('mmpretrain', train=data) == []


def test_many_labels_an_image(tmp_path: Path) -> None:
    folders(tmp_path, ('a',))
    content = {
        'metainfo': {'classes': ['cat', 'dog', 'fox']},
        'data_list': [{'img_path': 'a/0.png', 'gt_label': [0, 2]}, {'img_path': 'a/1.png', 'gt_label': [1]}],
    }

    def faults() -> list:
        (tmp_path / 'list.json').write_text(json.dumps(content))
        data = {
            'type': 'MultiLabelDataset',
            'data_root': str(tmp_path),
            'ann_file': 'list.json',
            'pipeline': [{'type': 'LoadImageFromFile'}],
        }
        return faults_of('mmpretrain', train=data)

    assert faults() == []
    content['data_list'][1]['gt_label'] = [1, 3]
    [(kind, where, _)] = faults()
    assert (kind, Path(where).name) == ('class-id-range', '1.png')


@pytest.mark.parametrize(('size', 'kind'), [((1, 40), 'tiny-image'), ((40, 2), 'tiny-image')])
def test_tiny_images(tmp_path: Path, size: tuple[int, int], kind: str) -> None:
    data = folders(tmp_path)
    Image.new('RGB', size).save(tmp_path / 'cat/0.png')
    [(found, where, _)] = faults_of('mmpretrain', train=data)
    assert (found, Path(where).name) == (kind, '0.png')


def test_gif_of_another_name(tmp_path: Path) -> None:
    data = folders(tmp_path)
    photo(tmp_path / 'cat/0.png', format='GIF')
    assert kinds_of('mmpretrain', train=data) == {'unreadable-image'}
