from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmsepvit.datasets.mini.baselines import classification_baselines, mean_iou, segmentation_baselines


def test_mean_iou_is_mmsegs() -> None:
    from mmseg.evaluation import IoUMetric

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 30, (4, 20, 30))
    predicted = np.where(rng.random(labels.shape) < 0.4, labels, rng.integers(1, 25, labels.shape))
    predicted[predicted == 0] = 1
    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = {'classes': [str(i) for i in range(150)]}
    reduced = torch.from_numpy(labels) - 1
    reduced[reduced < 0] = 255
    areas = [metric.intersect_and_union(torch.from_numpy(p) - 1, t, 150, 255) for p, t in zip(predicted, reduced)]
    expected = metric.compute_metrics(areas)['mIoU']
    assert mean_iou(predicted, labels) == pytest.approx(expected, abs=0.006)  # rounded to 0.01


def test_colour_and_row_on_the_mini_data(mini_root: Path) -> None:
    """A colour says something, where it is says more, and neither is enough."""
    found = segmentation_baselines(mini_root / 'data' / 'mini')
    assert 10 < found['colour'] < found['colour and row'] < 40


def test_colours_do_not_tell_the_mini_datas_objects_apart(mini_root: Path) -> None:
    found = classification_baselines(mini_root / 'data' / 'mini')
    assert found['chance'] == 12.5
    assert 12.5 < found['colour'] < 50


def _paint(root: Path, classes: np.ndarray, rng: np.random.Generator) -> None:
    """Scenes whose classes stand in blocks, each of its own colour."""
    for split, count in (('training', 8), ('validation', 2)):
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for i in range(count):
            labels = rng.integers(1, len(classes), (12, 12)).repeat(16, 0).repeat(16, 1)
            image = classes[labels] + rng.normal(0, 8, (*labels.shape, 3))
            cv2.imwrite(str(root / 'images' / split / f'{i}.jpg'), image.clip(0, 255).astype(np.uint8))
            cv2.imwrite(str(root / 'annotations' / split / f'{i}.png'), labels.astype(np.uint8))


def test_the_colour_classifier_can_learn(tmp_path: Path) -> None:
    """Where colour does tell the classes apart it finds out; otherwise the bound says nothing."""
    colours = np.array([[0, 0, 0], [200, 60, 60], [60, 200, 60], [60, 60, 200]])
    _paint(tmp_path / 'ade' / 'ADEChallengeData2016', colours, np.random.default_rng(0))
    assert segmentation_baselines(tmp_path)['colour'] > 90
