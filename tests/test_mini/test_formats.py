"""The real dataset classes read what was written, and the three formats tell the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmsepvit.datasets.mini import Counts
from mmsepvit.datasets.mini.classes import CLASSES, IMAGENET_FOCUS, THING_NAMES
from mmsepvit.datasets.mini.coco import MIN_VISIBLE_AREA
from mmsepvit.datasets.mini.coco_categories import COCO_CATEGORIES
from mmsepvit.datasets.mini.render import render_scene
from mmsepvit.datasets.mini.scene import sample_scene

_ADE_SPLITS = {'train': 'training', 'val': 'validation'}
_SIZES = {'train': Counts().train, 'val': Counts().val}


@pytest.fixture(scope='module', params=['train', 'val'])
def split(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope='module')
def coco(full_root: Path, split: str) -> COCO:
    return COCO(str(full_root / 'coco' / 'annotations' / f'instances_{split}2017.json'))


def test_class_ids_are_the_real_ones():
    from mmdet.datasets import CocoDataset
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
    from mmseg.datasets import ADE20KDataset

    ade = ADE20KDataset.METAINFO['classes']
    for c in CLASSES:
        if c.coco_id is not None and c.ade_id not in (13, 21):
            assert ade[c.ade_id - 1] == 'animal'
        elif c.ade_id:
            assert ade[c.ade_id - 1] == c.name
    assert tuple(c['name'] for c in COCO_CATEGORIES) == CocoDataset.METAINFO['classes']
    # The last category's id and two around a gap are known by heart.
    ids = {c['name']: c['id'] for c in COCO_CATEGORIES}
    assert (ids['toothbrush'], ids['fire hydrant'], ids['stop sign']) == (90, 11, 13)
    assert {name: ids[name] for name in THING_NAMES} == {c.name: c.coco_id for c in CLASSES if c.coco_id is not None}
    words = {'sheep': 'ram', 'building': 'barn', 'mountain': 'alp', 'water': 'seashore', 'person': 'ballplayer'}
    for focus, label in IMAGENET_FOCUS.values():
        assert words.get(focus, focus) in IMAGENET_CATEGORIES[label]


def test_mmseg_reads_all(full_root: Path, split: str):
    from mmseg.datasets import ADE20KDataset

    folder = _ADE_SPLITS[split]
    dataset = ADE20KDataset(
        data_root=str(full_root / 'ade' / 'ADEChallengeData2016'),
        data_prefix={'img_path': f'images/{folder}', 'seg_map_path': f'annotations/{folder}'},
        pipeline=[{'type': 'mmcv.LoadImageFromFile'}, {'type': 'mmseg.LoadAnnotations'}],
    )
    assert len(dataset) == _SIZES[split]
    images_with = Counter()
    for i in range(len(dataset)):
        sample = dataset[i]
        assert sample['img'].shape[:2] == sample['gt_seg_map'].shape
        images_with.update(np.unique(sample['gt_seg_map']).tolist())
    # reduce_zero_label: ids go down by one, unlabelled becomes 255.
    known = {c.ade_id - 1 for c in CLASSES if c.ade_id}
    assert set(images_with) == known | {255}
    # No class is a rarity that a short training never meets.
    assert min(images_with[label] for label in known) >= 0.15 * len(dataset)


def test_mmdet_reads_all(full_root: Path, split: str):
    from mmdet.datasets import CocoDataset

    dataset = CocoDataset(
        data_root=str(full_root / 'coco'),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix={'img': f'{split}2017/'},
        pipeline=[
            {'type': 'mmcv.LoadImageFromFile'},
            {'type': 'mmdet.LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        ],
        test_mode=split == 'val',
    )
    assert len(dataset) == _SIZES[split]
    labels = Counter()
    for i in range(len(dataset)):
        sample = dataset[i]
        height, width = sample['img_shape']
        labels.update(sample['gt_bboxes_labels'].tolist())
        boxes = sample['gt_bboxes'].tensor.numpy()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= [width, height]).all()
        masks = sample['gt_masks'].masks
        assert masks.shape == (len(boxes), height, width)
        for mask, box in zip(masks, boxes):
            rows, columns = np.nonzero(mask)
            limits = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_array_equal(limits, box)
    names = {dataset.metainfo['classes'][label] for label in labels}
    assert names == set(THING_NAMES)
    assert min(labels.values()) >= 0.2 * len(dataset)


def test_mmpretrain_reads_all(full_root: Path, split: str):
    from mmpretrain.datasets import ImageNet

    dataset = ImageNet(
        data_root=str(full_root / 'imagenet'),
        split=split,
        pipeline=[{'type': 'mmcv.LoadImageFromFile'}],
    )
    counts = Counts()
    each = counts.class_train if split == 'train' else counts.class_val
    labels = Counter()
    for i in range(len(dataset)):
        sample = dataset[i]
        assert min(sample['img'].shape[:2]) >= 112
        labels[int(sample['gt_label'])] += 1
        if split == 'train':
            wnid = Path(sample['img_path']).parent.name
            assert IMAGENET_FOCUS[wnid][1] == sample['gt_label']
    assert labels == {label: each for _, label in IMAGENET_FOCUS.values()}


def test_annotations_are_the_drawn_masks(coco: COCO, split: str):
    """Box, area, polygons and run lengths of every annotation equal the renderer's masks."""
    names = {c['id']: c['name'] for c in COCO_CATEGORIES}
    start = 0 if split == 'train' else 1_000_000
    for position, image_id in enumerate(sorted(coco.imgs)[:30]):
        scene = sample_scene(0, start + position)
        drawn = render_scene(scene)
        left = [
            (thing.name, drawn.instances == number + 1)
            for number, thing in enumerate(scene.things)
            if thing.name in THING_NAMES and thing.group < 0
        ]
        for annotation in coco.imgToAnns[image_id]:
            mask = coco.annToMask(annotation).astype(bool)
            rows, columns = np.nonzero(mask)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert annotation['bbox'] == [int(v) for v in box]
            assert annotation['area'] == mask.sum()
            name = names[annotation['category_id']]
            if annotation['iscrowd']:
                members = [i + 1 for i, t in enumerate(scene.things) if t.group >= 0]
                np.testing.assert_array_equal(mask, np.isin(drawn.instances, members))
                continue
            matches = [i for i, (n, m) in enumerate(left) if n == name and (m == mask).all()]
            assert matches
            left.pop(matches[0])
        assert all(mask.sum() < MIN_VISIBLE_AREA for _, mask in left)


def test_ade_and_coco_show_the_same(full_root: Path, coco: COCO, split: str):
    base = full_root / 'ade' / 'ADEChallengeData2016'
    ade_ids = {c.coco_id: c.ade_id for c in CLASSES if c.coco_id is not None}
    label_maps = sorted((base / 'annotations' / _ADE_SPLITS[split]).iterdir())
    assert len(label_maps) == len(coco.imgs)
    for path, image_id in zip(label_maps, sorted(coco.imgs)):
        image = base / 'images' / _ADE_SPLITS[split] / f'{path.stem}.jpg'
        same = full_root / 'coco' / f'{split}2017' / coco.imgs[image_id]['file_name']
        assert image.read_bytes() == same.read_bytes()
        labels = np.asarray(Image.open(path))
        covered = np.zeros(labels.shape, dtype=int)
        for annotation in coco.imgToAnns[image_id]:
            mask = coco.annToMask(annotation).astype(bool)
            assert (labels[mask] == ade_ids[annotation['category_id']]).all()
            covered += mask
        assert covered.max() <= 1
        missed = np.isin(labels, list(ade_ids.values())) & (covered == 0)
        assert missed.sum() < 6 * MIN_VISIBLE_AREA


def test_coco_has_the_hard_cases(coco: COCO, split: str):
    crowds = [a for a in coco.anns.values() if a['iscrowd']]
    assert crowds
    assert all(isinstance(a['segmentation'], dict) for a in crowds)
    assert all(isinstance(a['segmentation'], list) for a in coco.anns.values() if not a['iscrowd'])
    several_parts = [a for a in coco.anns.values() if len(a['segmentation']) > 1 and not a['iscrowd']]
    empty = [i for i in coco.imgs if not coco.imgToAnns[i]]
    at_border, small, large = [], [], []
    for a in coco.anns.values():
        image = coco.imgs[a['image_id']]
        x, y, width, height = a['bbox']
        if x == 0 or y == 0 or x + width == image['width'] or y + height == image['height']:
            at_border.append(a)
        share = a['area'] / (image['width'] * image['height'])
        small += [a] if share < 0.01 else []
        large += [a] if share > 0.1 else []
    assert min(map(len, (several_parts, empty, at_border, small, large))) >= 1
    assert len(empty) < 0.2 * len(coco.imgs)
    ids = list(coco.anns)
    assert len(set(ids)) == len(ids)


def test_splits_share_no_id(full_root: Path):
    files = [full_root / 'coco' / 'annotations' / f'instances_{s}2017.json' for s in ('train', 'val')]
    train, val = (COCO(str(file)) for file in files)
    assert not set(train.imgs) & set(val.imgs)
    assert not set(train.anns) & set(val.anns)
