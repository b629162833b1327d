"""What can be had on the mini data without a network: the figures that a trained one must beat."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

_CLASSES = 151  # values of an ADE20K annotation, 0 being unlabelled
_BINS = 16  # of each colour channel
_ROWS = 8  # parts of a picture's height
_PIXELS = 4  # both ways, every such pixel is looked at: its neighbours say much the same


def segmentation_baselines(root: str | Path) -> dict[str, float]:
    """Mean IoU on the held-out scenes of classifiers that are fitted on the training scenes.

    Args:
        root: The mini data's root.

    Returns:
        mIoU in percent, as mmsegmentation's ``IoUMetric`` defines it, of ``colour``, the likeliest class of a pixel's
        colour by smoothed colour histograms, and of ``colour and row``, the same with histograms of their own for
        each eighth of the picture's height.
    """
    root = Path(root) / 'ade' / 'ADEChallengeData2016'
    train, val = (_read_pixels(root, split) for split in ('training', 'validation'))
    return {name: _histogram_miou(train, val, rows) for name, rows in (('colour', 1), ('colour and row', _ROWS))}


def classification_baselines(root: str | Path) -> dict[str, float]:
    """Top-1 accuracy on the held-out pictures.

    Args:
        root: The mini data's root.

    Returns:
        Accuracy in percent of ``chance`` and of ``colour``: the class of the training picture whose colour histogram
        is the most similar.
    """
    root = Path(root) / 'imagenet'
    train_x, train_y = _read_histograms(root, 'train')
    val_x, val_y = _read_histograms(root, 'val')
    # Of distributions whose square roots are multiplied, the sum is their Bhattacharyya coefficient.
    nearest = (val_x @ train_x.T).argmax(axis=1)
    return {'chance': 100 / len(np.unique(train_y)), 'colour': 100 * float((train_y[nearest] == val_y).mean())}


def mean_iou(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean IoU in percent over the classes that are labelled or predicted.

    Args:
        predicted: Annotation values, of any shape.
        labels: The true values, of the same shape; pixels with 0 are left out.
    """
    from mmseg.evaluation import IoUMetric

    areas = IoUMetric.intersect_and_union(torch.from_numpy(predicted), torch.from_numpy(labels), _CLASSES, 0)
    return 100 * float(np.nanmean(IoUMetric.total_area_to_metrics(*areas, ['mIoU'])['IoU']))


def _read_pixels(root: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every fourth pixel both ways: colour bins (N, 3), relative heights (N,) and annotation values (N,)."""
    parts = []
    for file in sorted((root / 'annotations' / split).glob('*.png')):
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(root / 'images' / split / f'{file.stem}.jpg'))
        heights = np.repeat(np.arange(len(labels)) / len(labels), labels.shape[1]).reshape(labels.shape)
        every = np.s_[::_PIXELS, ::_PIXELS]
        parts.append((image[every].reshape(-1, 3) // (256 // _BINS), heights[every].ravel(), labels[every].ravel()))
    colours, heights, labels = (np.concatenate(column) for column in zip(*parts))
    return colours, heights, labels.astype(int)


def _histogram_miou(train: tuple, val: tuple, rows: int) -> float:
    """Fits on one part of the training scenes how far rare classes are preferred, then on all of them."""
    half = len(train[2]) // 2
    first, second = tuple(column[:half] for column in train), tuple(column[half:] for column in train)
    power = max((0.0, 0.25, 0.5, 0.75), key=lambda power: mean_iou(_predicted(first, second, rows, power), second[2]))
    return mean_iou(_predicted(train, val, rows, power), val[2])


def _predicted(train: tuple, val: tuple, rows: int, power: float) -> np.ndarray:
    """The likeliest annotation value of each pixel of ``val``; power 1 divides the classes' frequencies out."""
    shape = (rows, _BINS, _BINS, _BINS)
    known = np.unique(train[2][train[2] > 0])
    cells = _cells(train, rows)
    scores = []
    for value in known:
        counts = np.bincount(cells[train[2] == value], minlength=np.prod(shape)).reshape(shape).astype(np.float32)
        smooth = counts
        for axis in (1, 2, 3):
            smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
        # Colours that were never seen there get what is common in their row.
        smooth = smooth + 1e-4 * counts.sum(axis=(1, 2, 3), keepdims=True)
        scores.append(smooth.ravel() * counts.sum() ** -power)
    return known[np.argmax(scores, axis=0)][_cells(val, rows)]


def _cells(pixels: tuple, rows: int) -> np.ndarray:
    row = (pixels[1] * rows).astype(int)
    return np.ravel_multi_index((row, *pixels[0].T), (rows, _BINS, _BINS, _BINS))


def _read_histograms(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of colour histograms (N, 512), and labels (N,)."""
    features, labels = [], []
    for line in (root / 'meta' / f'{split}.txt').read_text(encoding='utf-8').splitlines():
        name, label = line.rsplit(' ', 1)
        image = cv2.imread(str(root / split / name))
        histogram = cv2.calcHist([image], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3).ravel()
        features.append(np.sqrt(histogram / histogram.sum()))
        labels.append(int(label))
    return np.array(features), np.array(labels)
