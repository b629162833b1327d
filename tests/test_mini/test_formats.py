"""The packages' own dataset classes read what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO

from mmsepvit.configs.mini_datasets import READERS
from mmsepvit.datasets.mini import Counts
from mmsepvit.datasets.mini.classes import (
    ADE_VALUES,
    CITYSCAPES_VALUES,
    CLASS_NAMES,
    COCO_IDS,
    IMAGENET_CLASSES,
    VOC_VALUES,
    coco_categories,
)
from mmsepvit.datasets.mini.formats import MIN_AREA, polygons
from mmsepvit.datasets.mini.scenes import Picture, draw_scene

FIRST = {'train': 0, 'val': 1_000_000}


@pytest.fixture(autouse=True)
def _in_root(small_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'mini').symlink_to(small_root)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=['train', 'val'])
def split(request: pytest.FixtureRequest) -> str:
    return request.param


def drawn(split: str, count: int) -> list[Picture]:
    return [draw_scene(0, FIRST[split] + i) for i in range(count)]


def build(package: str, name: str, split: str, pipeline: list[dict], **arguments: Any) -> Any:
    """A dataset as ``--mini`` has it read."""
    init_default_scope(package)
    reader = next(r for r in READERS if r.name == name and r.package == f'{package}.datasets')
    settings = {'type': f'{package}.{name}', **reader.arguments(split), 'pipeline': pipeline, **arguments}
    return DATASETS.build(settings)


@pytest.mark.parametrize(
    ('name', 'values', 'arguments'),
    [
        ('ADE20KDataset', [(value - 1) % 256 for value in ADE_VALUES], {'reduce_zero_label': True}),
        ('CityscapesDataset', CITYSCAPES_VALUES, {}),
        ('PascalVOCDataset', VOC_VALUES, {}),
    ],
)
def test_mmseg_reads_the_drawn_classes(
    name: str, values: list[int], arguments: dict, split: str, small_counts: Counts
) -> None:
    dataset = build('mmseg', name, split, [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}], **arguments)
    pictures = drawn(split, getattr(small_counts, split))
    assert len(dataset) == len(pictures)
    for sample, picture in zip(dataset, pictures):
        np.testing.assert_array_equal(sample['gt_seg_map'], np.array(values)[picture.labels])
        # Blue, green and red, and JPEG has changed them a little.
        assert np.abs(sample['img'][..., ::-1].astype(float) - picture.image).mean() < 8


def visible(picture: Picture) -> list[tuple[str, bool, np.ndarray]]:
    masks = [picture.objects == number for number in range(1, len(picture.things) + 1)]
    return [
        (CLASS_NAMES[label], crowd, mask)
        for (label, crowd), mask in zip(picture.things, masks)
        if mask.sum() >= MIN_AREA
    ]


def box_of(mask: np.ndarray) -> list[int]:
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_mmdet_reads_the_drawn_objects(split: str, small_counts: Counts) -> None:
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}]
    dataset = build('mmdet', 'CocoDataset', split, steps)
    pictures = drawn(split, getattr(small_counts, split))
    assert len(dataset) == len(pictures)
    for sample, picture in zip(dataset, pictures):
        expected = visible(picture)
        names = [dataset.metainfo['classes'][label] for label in sample['gt_bboxes_labels']]
        assert names == [name for name, _, _ in expected]
        assert sample['gt_ignore_flags'].tolist() == [crowd for _, crowd, _ in expected]
        for box, found, (_, crowd, mask) in zip(sample['gt_bboxes'].tensor, sample['gt_masks'].masks, expected):
            assert box.tolist() == box_of(mask)
            if not crowd:  # of a crowd, mmdet reads the box alone
                assert (found.astype(bool) == mask).mean() > 0.995  # polygons have no holes


def test_coco_annotations_are_the_drawn_masks(split: str, small_counts: Counts) -> None:
    coco = COCO(f'data/mini/coco/annotations/instances_{split}2017.json')
    for image_id, picture in zip(sorted(coco.imgs), drawn(split, getattr(small_counts, split))):
        for annotation, (name, crowd, mask) in zip(coco.imgToAnns[image_id], visible(picture)):
            assert coco.cats[annotation['category_id']]['name'] == name
            assert annotation['area'] == mask.sum()
            assert annotation['iscrowd'] == crowd == isinstance(annotation['segmentation'], dict)
            found = coco.annToMask(annotation).astype(bool)
            assert found[mask].all()
            assert (found & ~mask).sum() <= (0 if crowd else 0.05 * mask.sum())


@pytest.mark.parametrize('seed', range(5))
def test_polygons_cover_their_mask_alone(seed: int) -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), np.uint8)
    for _ in range(3):  # blocks have no holes, but touch borders, corners and each other
        y, x = rng.integers(0, (36, 46))
        mask[y : y + rng.integers(1, 12), x : x + rng.integers(1, 12)] = 1
    found = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons(mask), *mask.shape)))
    np.testing.assert_array_equal(found, mask)


def test_panoptic_segments_cover_all_that_has_a_name(split: str, small_counts: Counts) -> None:
    from mmcv import imread

    dataset = build('mmdet', 'CocoPanopticDataset', split, [], filter_cfg={}, test_mode=True)
    names = dataset.metainfo['classes']
    for info, picture in zip(dataset, drawn(split, getattr(small_counts, split))):
        colours = imread(info['seg_map_path'], channel_order='rgb').astype(int)
        ids = colours @ (1, 256, 256**2)
        for segment in info['segments_info']:
            category = coco_categories(stuff=True)[segment['category']]
            assert category['name'] == names[segment['category']]
            here = ids == segment['id']
            assert here.any()
            assert (np.array(COCO_IDS)[picture.labels[here]] == category['id']).all()
        left_out = ids == 0
        tiny = sum((picture.objects == i + 1).sum() < MIN_AREA for i in range(len(picture.things)))
        assert (left_out & (picture.labels != 0)).sum() <= MIN_AREA * tiny


def test_voc_boxes(split: str, small_counts: Counts) -> None:
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True}]
    dataset = build('mmdet', 'VOCDataset', split, steps, filter_cfg={'filter_empty_gt': False})
    pictures = drawn(split, getattr(small_counts, split))
    assert len(dataset) == len(pictures)
    for sample, picture in zip(dataset, pictures):
        known = [
            (name, mask) for name, crowd, mask in visible(picture) if name in dataset.metainfo['classes'] and not crowd
        ]
        assert [dataset.metainfo['classes'][label] for label in sample['gt_bboxes_labels']] == [n for n, _ in known]
        for box, (_, mask) in zip(sample['gt_bboxes'].tensor, known):
            # mmdet takes the first pixel's number from both ends, so a box is a pixel short.
            assert box.tolist() == [*box_of(mask)[:2], *(side - 1 for side in box_of(mask)[2:])]


def test_mmpretrain_reads_the_labels(split: str, small_counts: Counts) -> None:
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

    dataset = build('mmpretrain', 'ImageNet', split, [{'type': 'LoadImageFromFile'}])
    each = getattr(small_counts, f'class_{split}')
    expected = [(focus, label) for focus, label in IMAGENET_CLASSES.values() for _ in range(each)]
    assert [int(sample['gt_label']) for sample in dataset] == [label for _, label in expected]
    for i, (sample, (focus, _)) in enumerate(zip(dataset, expected)):
        image = draw_scene(0, FIRST[split] + i % each, focus).image
        assert np.abs(sample['img'][..., ::-1].astype(float) - image).mean() < 8
    words = {'sheep': 'ram', 'building': 'barn', 'mountain': 'alp', 'water': 'seashore', 'person': 'ballplayer'}
    for focus, label in IMAGENET_CLASSES.values():
        assert words.get(focus, focus) in IMAGENET_CATEGORIES[label]


def test_class_numbers_are_the_real_ones() -> None:
    from mmdet.datasets import CocoDataset, CocoPanopticDataset
    from mmseg.datasets import ADE20KDataset, CityscapesDataset, PascalVOCDataset

    other = {'sheep': 'animal', 'elephant': 'animal', 'zebra': 'animal', 'tree': 'vegetation', 'grass': 'terrain'}
    for dataset, values, shift in (
        (ADE20KDataset, ADE_VALUES, 1),
        (CityscapesDataset, CITYSCAPES_VALUES, 0),
        (PascalVOCDataset, VOC_VALUES, 0),
    ):
        classes = dataset.METAINFO['classes']
        for name, value in zip(CLASS_NAMES, values):
            if shift <= value < 255:
                assert classes[value - shift] in (name, other.get(name), 'background')
    assert tuple(c['name'] for c in coco_categories(stuff=False)) == CocoDataset.METAINFO['classes']
    assert tuple(c['name'] for c in coco_categories(stuff=True)) == CocoPanopticDataset.METAINFO['classes']
    # Some around gaps and the last ones are known by heart.
    ids = {c['name']: c['id'] for c in coco_categories(stuff=True)}
    known = {'fire hydrant': 11, 'stop sign': 13, 'toothbrush': 90, 'banner': 92, 'road': 149, 'rug-merged': 200}
    assert known.items() <= ids.items()
    names = {c['id']: c['name'] for c in coco_categories(stuff=True)}
    for name, number in zip(CLASS_NAMES[1:], COCO_IDS[1:]):
        assert name in names[number]
