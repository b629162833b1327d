from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmsepvit.datasets.mini.baselines import (
    classification_baselines,
    detection_baselines,
    mean_iou,
    segmentation_baselines,
)


def test_mean_iou_is_mmsegs():
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


@pytest.fixture(scope='module')
def segmentation(full_root: Path) -> dict[str, float]:
    return segmentation_baselines(full_root)


def test_colour_does_not_solve_segmentation(segmentation: dict[str, float]):
    """Ahead of chance, since colour says a little, and far below what textures and shapes give."""
    assert 1 < segmentation['commonest class'] < 4
    assert segmentation['commonest class'] < segmentation['colour'] < 13
    # The picture's layout is a cue of its own, and it does not solve the task either.
    assert segmentation['colour'] < segmentation['colour and row'] < 25


def test_commonest_class_is_one_share_of_eleven(full_root: Path, segmentation: dict[str, float]):
    from PIL import Image

    folder = full_root / 'ade' / 'ADEChallengeData2016' / 'annotations'
    train, val = (
        np.concatenate([np.asarray(Image.open(p)).ravel() for p in (folder / s).iterdir()])
        for s in ('training', 'validation')
    )
    commonest = np.bincount(train[train > 0]).argmax()
    share = (val[val > 0] == commonest).mean()
    assert segmentation['commonest class'] == pytest.approx(100 * share / 11)


def test_mean_colour_does_not_solve_classification(full_root: Path):
    accuracy = classification_baselines(full_root)
    assert accuracy['chance'] == 12.5
    assert accuracy['mean colour'] < 40


def test_the_colour_classifier_can_learn(tmp_path: Path):
    """Where colour does tell the classes apart it finds out; otherwise the bound says nothing."""
    from PIL import Image

    rng = np.random.default_rng(0)
    colours = np.array([[0, 0, 0], [200, 60, 60], [60, 200, 60], [60, 60, 200]])
    base = tmp_path / 'ade' / 'ADEChallengeData2016'
    for split, count in (('training', 8), ('validation', 2)):
        for kind in ('images', 'annotations'):
            (base / kind / split).mkdir(parents=True)
        for i in range(count):
            labels = rng.integers(1, 4, (10, 12)).repeat(8, 0).repeat(8, 1)
            image = colours[labels] + rng.normal(0, 12, (*labels.shape, 3))
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(base / 'images' / split / f'{i}.jpg')
            Image.fromarray(labels.astype(np.uint8)).save(base / 'annotations' / split / f'{i}.png')
    found = segmentation_baselines(tmp_path)
    assert found['colour'] > 90
    assert found['commonest class'] < 20


def test_nothing_is_detected_by_chance():
    assert detection_baselines() == {'no detection': 0.0}
