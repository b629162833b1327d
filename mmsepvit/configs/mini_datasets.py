"""Which dataset classes read the mini data, and from where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ..config_tree import as_list, built_class, datasets_of
from ..errors import UserError

MINI_ROOT = 'data/mini'

_YEAR = '2017'


@dataclass(frozen=True)
class _Reader:
    """A dataset class that reads the mini data.

    Attributes:
        package: Where the class is.
        name: Its name there.
        shows: Those of its classes that the scenes show.
        arguments: From 'train' or 'val' to what the class is told.
        annotations: From 'train' or 'val' to the files that its metrics read. Defaults to none.
    """

    package: str
    name: str
    shows: tuple[str, ...]
    arguments: Callable[[str], dict[str, Any]]
    annotations: Callable[[str], dict[str, str]] = lambda split: {}


def _ade(split: str) -> dict[str, Any]:
    folder = {'train': 'training', 'val': 'validation'}[split]
    return {
        'data_root': f'{MINI_ROOT}/ade/ADEChallengeData2016',
        'data_prefix': {'img_path': f'images/{folder}', 'seg_map_path': f'annotations/{folder}'},
        'ann_file': '',
    }


def _cityscapes(split: str) -> dict[str, Any]:
    return {
        'data_root': f'{MINI_ROOT}/cityscapes/',
        'data_prefix': {'img_path': f'leftImg8bit/{split}', 'seg_map_path': f'gtFine/{split}'},
        'ann_file': '',
    }


def _voc_label_maps(split: str) -> dict[str, Any]:
    return {
        'data_root': f'{MINI_ROOT}/voc/VOC2012',
        'data_prefix': {'img_path': 'JPEGImages', 'seg_map_path': 'SegmentationClass'},
        'ann_file': f'ImageSets/Segmentation/{split}.txt',
    }


def _voc_boxes(split: str) -> dict[str, Any]:
    return {
        'data_root': f'{MINI_ROOT}/voc/',
        'data_prefix': {'sub_data_root': 'VOC2012/'},
        'ann_file': f'VOC2012/ImageSets/Main/{split}.txt',
    }


def _coco(split: str) -> dict[str, Any]:
    return {
        'data_root': f'{MINI_ROOT}/coco/',
        'data_prefix': {'img': f'{split}{_YEAR}/'},
        'ann_file': f'annotations/instances_{split}{_YEAR}.json',
    }


def _coco_panoptic(split: str) -> dict[str, Any]:
    return {
        'data_root': f'{MINI_ROOT}/coco/',
        'data_prefix': {'img': f'{split}{_YEAR}/', 'seg': f'annotations/panoptic_{split}{_YEAR}/'},
        'ann_file': f'annotations/panoptic_{split}{_YEAR}.json',
    }


def _imagenet(split: str) -> dict[str, Any]:
    return {'data_root': f'{MINI_ROOT}/imagenet', 'split': split, 'data_prefix': '', 'ann_file': ''}


def _pictures(split: str) -> dict[str, Any]:
    return {'data_root': f'{MINI_ROOT}/imagenet', 'data_prefix': split, 'ann_file': ''}


_REGIONS = ('sky', 'building', 'road')
_ANIMALS = ('sheep', 'elephant', 'zebra')
READERS = (
    _Reader('mmseg.datasets', 'ADE20KDataset', (*_REGIONS, 'tree', 'person', 'car', 'animal'), _ade),
    _Reader('mmseg.datasets', 'CityscapesDataset', (*_REGIONS, 'vegetation', 'person', 'car'), _cityscapes),
    _Reader('mmseg.datasets', 'PascalVOCDataset', ('background', 'person', 'car', 'sheep'), _voc_label_maps),
    _Reader('mmdet.datasets', 'VOCDataset', ('person', 'car', 'sheep'), _voc_boxes),
    _Reader(
        'mmdet.datasets',
        'CocoDataset',
        ('person', 'car', *_ANIMALS),
        _coco,
        lambda split: {'ann_file': f'{MINI_ROOT}/coco/annotations/instances_{split}{_YEAR}.json'},
    ),
    _Reader(
        'mmdet.datasets',
        'CocoPanopticDataset',
        ('person', 'car', *_ANIMALS),
        _coco_panoptic,
        lambda split: {
            'ann_file': f'{MINI_ROOT}/coco/annotations/panoptic_{split}{_YEAR}.json',
            'seg_prefix': f'{MINI_ROOT}/coco/annotations/panoptic_{split}{_YEAR}/',
        },
    ),
    _Reader('mmpretrain.datasets', 'ImageNet', (), _imagenet),
    _Reader('mmpretrain.datasets', 'CustomDataset', (), _pictures),
)


def read_mini_data(config: Config) -> None:
    """Lets all datasets of a config, and the metrics that read annotations, read the mini data.

    Args:
        config: The config, changed in place.

    Raises:
        UserError: No mini data can be made for one of them.
    """
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        part = 'train' if split == 'train' else 'val'
        for path, dataset in datasets_of(loader and loader['dataset'], f'{split}_dataloader.dataset'):
            reader = _reader(dataset, path, config.default_scope)
            arguments = reader.arguments(part)
            _check_files(dataset, path, reader, arguments)
            dataset.update(arguments)
            for metric in as_list(config.get(f'{split}_evaluator')):
                metric.update({key: file for key, file in reader.annotations(part).items() if key in metric})


def _reader(dataset: dict, path: str, scope: str) -> _Reader:
    """The reader that a dataset's class is, or inherits from without reading otherwise."""
    cls = built_class(dataset, scope, DATASETS)
    packages = {base.__module__.partition('.')[0] for base in getattr(cls, '__mro__', ())}
    for reader in READERS:
        if reader.package.partition('.')[0] not in packages:
            continue
        known = getattr(import_module(reader.package), reader.name)
        if issubclass(cls, known) and all(getattr(cls, name) is getattr(known, name) for name in _READING):
            _check_labels(dataset, path, reader)
            return reader
    name = getattr(cls, '__name__', dataset.get('type'))
    made = ', '.join(f'{reader.package.partition(".")[0]}.{reader.name}' for reader in READERS)
    raise UserError(f'--mini makes no data that {name} ({path}) reads, only what these read: {made}.')


# What makes a class read other files, or other labels in them, than the one that it inherits from.
_READING = ('load_data_list', 'METAINFO')


def _check_files(dataset: dict, path: str, reader: _Reader, arguments: dict[str, Any]) -> None:
    """Refuses a dataset that reads further files: COCO's maps of stuff, or proposals."""
    given, known = (
        settings['data_prefix'] if isinstance(settings.get('data_prefix'), dict) else {}  # or a folder of all files
        for settings in (dataset, arguments)
    )
    asked = {f'data_prefix.{key}': folder for key, folder in given.items() if key not in known}
    asked['proposal_file'] = dataset.get('proposal_file')
    further = sorted(key for key, file in asked.items() if file)
    if further:
        raise UserError(f'--mini: the generated data for {reader.name} has nothing for {path}.{further[0]} to read.')


def _check_labels(dataset: dict, path: str, reader: _Reader) -> None:
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes and not set(classes) & set(reader.shows):
        shown = f'shows {", ".join(reader.shows)}' if reader.shows else 'has the labels of ImageNet-1k alone'
        raise UserError(f'--mini: the generated data for {reader.name} {shown}, and {path}.metainfo asks for others.')
    if reader.name == 'CustomDataset' and dataset.get('with_label', True):
        raise UserError(f"--mini makes no pictures with labels of one's own: {path} has no with_label=False.")
