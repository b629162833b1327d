"""The pipelines of every kind of config, run on mini data by the packages' own dataset classes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmsepvit.configs.mini import SETTINGS, apply_mini

for package in ('mmseg', 'mmdet', 'mmpretrain'):
    pytest.importorskip(package)

CONFIGS = Path(__file__).parents[2] / 'configs'
# One for each data set file of the configs.
NAMES = [
    'upernet_sepvit_t_ade20k',
    'mask_rcnn_sepvit_t_1x_coco',
    'mask_rcnn_sepvit_t_3x_coco',
    'retinanet_sepvit_t_1x_coco',
    'retinanet_sepvit_t_3x_coco',
    'sepvit_t_imagenet',
]
MINI_CROP = round(512 / SETTINGS['mmseg'].shrink)


@pytest.fixture(autouse=True)
def _in_the_data(mini_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(mini_root)
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope(None):
        yield


def mini_config(name: str) -> Config:
    config = Config.fromfile(CONFIGS / f'{name}.py')
    apply_mini(config)
    for part in ('datasets', 'models'):
        import_module(f'{config.default_scope}.{part}')
    return config


def samples(config: Config, split: str, count: int, pipeline: list | None = None) -> list[dict]:
    settings = dict(config[f'{split}_dataloader'].dataset)
    if pipeline is not None:
        settings['pipeline'] = pipeline
    scope = config.default_scope
    with DefaultScope.overwrite_default_scope(scope):
        dataset = import_module(f'{scope}.registry').DATASETS.build(settings)
        return [dataset[i] for i in range(count)]


@pytest.mark.parametrize('name', NAMES)
def test_train_and_test_pipelines(name: str) -> None:
    config = mini_config(name)
    # Enough for both branches of the 3x recipe's choice.
    train = samples(config, 'train', 12)
    for sample in train:
        assert sample['inputs'].dtype == torch.uint8
        assert sample['inputs'].ndim == 3
    shapes = {tuple(sample['inputs'].shape) for sample in train}
    if config.default_scope == 'mmdet':
        # 1x keeps one scale, and only the images' ratios differ; 3x draws it anew.
        short = {min(shape[1:]) for shape in shapes}
        assert (len(short) == 1) is ('1x' in name)
        masks = ['masks' in sample['data_samples'].gt_instances for sample in train]
        assert set(masks) == {'mask_rcnn' in name}
    elif config.default_scope == 'mmseg':
        # What is smaller than the crop is padded later, by the data preprocessor.
        assert (3, MINI_CROP, MINI_CROP) in shapes
        assert max(max(shape) for shape in shapes) == MINI_CROP
    else:
        assert shapes == {(3, 56, 56)}
    for sample in samples(config, 'val', 2):
        height, width = sample['inputs'].shape[1:]
        if config.default_scope == 'mmseg':
            annotation = sample['data_samples'].gt_sem_seg
            assert annotation.shape == sample['data_samples'].ori_shape
            assert int(annotation.data.max()) in (*range(150), 255)
            assert min(height, width) == MINI_CROP
        elif config.default_scope == 'mmdet':
            assert min(height, width) == 160 or max(height, width) == 267


@pytest.mark.parametrize('name', [name for name in NAMES if '3x' not in name])
def test_tta_pipeline_gives_every_view(name: str) -> None:
    config = mini_config(name)
    (sample,) = samples(config, 'test', 1, pipeline=config.tta_pipeline)
    views = {'mmseg': 12, 'mmdet': 6, 'mmpretrain': 2}[config.default_scope]
    assert len(sample['inputs']) == len(sample['data_samples']) == views
    sizes = {tuple(image.shape) for image in sample['inputs']}
    assert len(sizes) == views // 2
    plain = sample['inputs'][0]
    # Each size once as it is and once from right to left.
    twins = [image for image in sample['inputs'][1:] if image.shape == plain.shape]
    assert [bool((twin == plain.flip(-1)).all()) for twin in twins] == [True]
