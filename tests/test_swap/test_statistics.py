"""Statistics of images: those of 8-bit RGB become ImageNet's, all others belong to the data and stay."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from mmsepvit.configs.swap import load, swap
from mmsepvit.configs.swap.preprocessor import MEAN, STD

SOURCE = 'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024'


def swapped(bands: int, source: str = SOURCE, loader: dict[str, Any] | None = None, **statistics: Any) -> tuple:
    """The preprocessor and the notes of a swap into a config with these images."""
    config = load(source)
    config.model.backbone.in_channels = bands
    config.model.data_preprocessor.update(statistics)
    if loader:
        config.train_dataloader.dataset.pipeline[0].update(loader)
    report = swap(config)
    assert report.config.model.backbone.get('in_channels', 3) == bands
    return config.model.data_preprocessor, report.config.model.data_preprocessor, report.notes


@pytest.mark.parametrize('bands', [1, 2, 4, 6, 12])
def test_any_number_of_bands_stays(bands: int) -> None:
    mean = [10.0 + band for band in range(bands)]
    old, new, notes = swapped(bands, mean=mean, std=[3.0] * bands, bgr_to_rgb=False)
    assert new == old
    assert any(f'they have {bands} bands' in note for note in notes)


RANGES = {
    '16 bits': ([5000.0, 4000.0, 3000.0], [900.0] * 3),
    '16 bits, not centred': ([0.0] * 3, [65535.0] * 3),
    'unit': ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    'decibels': ([-12.5, -19.0, -15.0], [5.0, 5.0, 5.0]),
    'a little below zero': ((-1.0, 0.0, 0.0), (1.0,) * 3),
    'a little above a byte': ([0] * 3, [256] * 3),
}


@pytest.mark.parametrize('name', RANGES)
def test_any_other_range_of_values_stays(name: str) -> None:
    mean, std = RANGES[name]
    old, new, notes = swapped(3, mean=mean, std=std, bgr_to_rgb=False)
    assert new == old
    assert any('range' in note for note in notes)


@pytest.mark.parametrize(
    'loader', [{'color_type': 'unchanged'}, {'imdecode_backend': 'tifffile'}, {'color_type': 'grayscale'}]
)
def test_files_that_may_hold_anything_keep_theirs(loader: dict[str, Any]) -> None:
    old, new, _ = swapped(3, loader=loader, mean=[120.0] * 3, std=[60.0] * 3)
    assert new == old


EIGHT_BITS = {
    'caffe': ([103.53, 116.28, 123.675], [1.0, 1.0, 1.0]),
    'halves': ([127.5] * 3, [127.5] * 3),
    'divided': ([0.0] * 3, [255.0] * 3),
    'raw': ([0.0] * 3, [1.0] * 3),
    'none': (None, None),
    'one for all': ((120,), (60,)),
}


@pytest.mark.parametrize('name', EIGHT_BITS)
def test_eight_bit_rgb_gets_those_of_imagenet(name: str) -> None:
    mean, std = EIGHT_BITS[name]
    _, new, notes = swapped(3, mean=mean, std=std, bgr_to_rgb=False)
    assert (new.mean, new.std, new.bgr_to_rgb) == (MEAN, STD, True)
    assert not any('stay' in note and 'mean' in note for note in notes)


def test_images_read_as_rgb_are_not_turned_around() -> None:
    config = load('mmpretrain::resnet/resnet50_8xb32_in1k')
    config.train_dataloader.dataset.pipeline[0].channel_order = 'rgb'
    assert swap(config).config.data_preprocessor.to_rgb is False


def test_a_classifier_of_four_bands() -> None:
    config = load('mmpretrain::resnet/resnet50_8xb32_in1k')
    config.model.backbone.in_channels = 4
    config.data_preprocessor.update(mean=[1.0, 2.0, 3.0, 4.0], std=[1.0] * 4, to_rgb=False)
    new = swap(config).config
    assert new.data_preprocessor == config.data_preprocessor
    assert new.model.backbone.in_channels == 4


def test_two_pictures_in_one_keep_statistics_for_both() -> None:
    config = load('mmseg::swin/swin-tiny-patch4-window7_upernet_1xb8-20k_levir-256x256')
    new = swap(Config(config.to_dict())).config
    assert new.model.backbone.in_channels == 6
    assert new.model.data_preprocessor == config.model.data_preprocessor
