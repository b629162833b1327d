"""What can be had on the mini data without a network: the figures that a trained one must beat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_CLASSES = 151  # values of an ADE20K annotation, 0 being unlabelled
_FOLDS = 4


def segmentation_baselines(root: str | Path) -> dict[str, float]:
    """Mean IoU on the held-out scenes of classifiers fitted on the training scenes.

    Args:
        root: The mini data's root.

    Returns:
        mIoU in percent, as mmsegmentation's ``IoUMetric`` defines it, of

        - ``commonest class``: always the class with the most training pixels;
        - ``colour``: the likeliest class of a pixel's colour, from smoothed colour histograms;
        - ``colour and row``: the same with one histogram for each eighth of the picture's height.

        Bins, smoothing and how far common classes are preferred are chosen by cross-validation on
        the training scenes for the best mIoU.
    """
    root = Path(root) / 'ade' / 'ADEChallengeData2016'
    train, val = (_read_pixels(root, split) for split in ('training', 'validation'))
    counts = np.bincount(train.labels, minlength=_CLASSES)
    counts[0] = 0
    commonest = np.full_like(val.labels, counts.argmax())
    return {
        'commonest class': mean_iou(commonest, val.labels),
        'colour': _colour_miou(train, val, rows=1),
        'colour and row': _colour_miou(train, val, rows=8),
    }


def detection_baselines() -> dict[str, float]:
    """Box and mask AP50 of an untrained detector, as fractions: nothing is found by chance."""
    return {'no detection': 0.0}


def classification_baselines(root: str | Path) -> dict[str, float]:
    """Top-1 accuracy on the held-out pictures.

    Args:
        root: The mini data's root.

    Returns:
        Accuracy in percent of ``chance`` and of ``mean colour``: the five nearest training pictures
        by the mean and the standard deviation of each colour channel.
    """
    root = Path(root) / 'imagenet'
    train_x, train_y = _read_colour_statistics(root, 'train')
    val_x, val_y = _read_colour_statistics(root, 'val')
    distance = ((val_x[:, None] - train_x[None]) ** 2).sum(-1)
    nearest = np.argsort(distance, axis=1, kind='stable')[:, :5]
    votes = [np.bincount(train_y[row]).argmax() for row in nearest]
    return {
        'chance': 100.0 / len(np.unique(val_y)),
        'mean colour': 100.0 * float(np.mean(votes == val_y)),
    }


def mean_iou(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean IoU in percent over the classes that are labelled or predicted.

    Args:
        predicted: Annotation values, of any shape.
        labels: The true values, of the same shape; pixels with 0 are left out.

    Returns:
        The nan-mean over classes of summed intersections over summed unions.
    """
    known = labels != 0
    predicted, labels = predicted[known], labels[known]
    hit = np.bincount(labels[predicted == labels], minlength=_CLASSES)
    union = np.bincount(labels, minlength=_CLASSES)
    union = union + np.bincount(predicted, minlength=_CLASSES) - hit
    return 100.0 * float(np.mean(hit[union > 0] / union[union > 0]))


@dataclass(frozen=True)
class _Pixels:
    """All pixels of a split: colours (N, 3) uint8, labels, relative rows in [0, 1), image numbers."""

    colours: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    images: np.ndarray

    def where(self, chosen: np.ndarray) -> _Pixels:
        return _Pixels(self.colours[chosen], self.labels[chosen], self.rows[chosen], self.images[chosen])


def _read_pixels(root: Path, split: str) -> _Pixels:
    parts = []
    for number, path in enumerate(sorted((root / 'annotations' / split).glob('*.png'))):
        labels = np.asarray(Image.open(path)).astype(np.int64)
        image = Image.open(root / 'images' / split / f'{path.stem}.jpg')
        height, width = labels.shape
        rows = np.repeat(np.arange(height) / height, width)
        colours = np.asarray(image.convert('RGB')).reshape(-1, 3)
        parts.append((colours, labels.ravel(), rows, np.full(height * width, number)))
    if not parts:
        raise FileNotFoundError(f'{root}: no annotations for {split}')
    return _Pixels(*(np.concatenate(column) for column in zip(*parts)))


def _histograms(pixels: _Pixels, bins: int, rows: int, known: np.ndarray) -> np.ndarray:
    """Pixel counts of the classes ``known``, of shape (classes, rows, bins, bins, bins)."""
    cells = _cells(pixels, bins, rows)
    size = rows * bins**3
    counts = [np.bincount(cells[pixels.labels == label], minlength=size) for label in known]
    return np.array(counts, dtype=np.float32).reshape(-1, rows, bins, bins, bins)


def _cells(pixels: _Pixels, bins: int, rows: int) -> np.ndarray:
    level = pixels.colours.astype(np.int64) * bins // 256
    row = (pixels.rows * rows).astype(np.int64)
    return ((row * bins + level[:, 0]) * bins + level[:, 1]) * bins + level[:, 2]


def _smooth(counts: np.ndarray, passes: int) -> np.ndarray:
    """Blur along the three colour axes with the kernel (1, 2, 1) / 4, several times."""
    for _ in range(passes):
        for axis in (-3, -2, -1):
            width = [(0, 0)] * counts.ndim
            width[axis] = (1, 1)
            padded = np.moveaxis(np.pad(counts, width, mode='edge'), axis, 0)
            blurred = (padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0
            counts = np.moveaxis(blurred, 0, axis)
    return counts


def _table(counts: np.ndarray, power: float) -> np.ndarray:
    """Likeliest class of each cell; ``power`` 1 divides the classes' frequencies out, 0 does not."""
    frequency = counts.sum(axis=(1, 2, 3, 4), keepdims=True)
    # A little of the whole row's distribution decides cells that training never filled.
    row_counts = counts.sum(axis=(2, 3, 4), keepdims=True)
    counts = counts + 1e-3 * row_counts / counts[0, 0].size
    return (counts * np.maximum(frequency, 1.0) ** -power).argmax(axis=0).ravel()


def _colour_miou(train: _Pixels, val: _Pixels, rows: int) -> float:
    """Fit with the settings that do best on held-out folds of the training scenes; score on val."""
    known = np.unique(train.labels[train.labels > 0])
    # Neighbouring pixels say much the same: every third will do to choose the settings.
    everything, train = train, train.where(np.arange(len(train.labels)) % 3 == 0)
    folds = train.images % _FOLDS
    best: tuple[float, int, int, float] = (-1.0, 0, 0, 0.0)
    for bins in (16, 32) if rows == 1 else (16,):
        cells = _cells(train, bins, rows)
        sums = [_histograms(train.where(folds == k), bins, rows, known) for k in range(_FOLDS)]
        total = sum(sums)
        for passes in (1, 4, 12):
            kept = [_smooth(total - part, passes) for part in sums]
            for power in (0.0, 0.3, 0.6, 0.9):
                predicted = np.empty_like(train.labels)
                for fold in range(_FOLDS):
                    held = folds == fold
                    predicted[held] = known[_table(kept[fold], power)[cells[held]]]
                score = mean_iou(predicted, train.labels)
                best = max(best, (score, bins, passes, power))
    _, bins, passes, power = best
    counts = _smooth(_histograms(everything, bins, rows, known), passes)
    return mean_iou(known[_table(counts, power)[_cells(val, bins, rows)]], val.labels)


def _read_colour_statistics(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    features, labels = [], []
    for line in (root / 'meta' / f'{split}.txt').read_text(encoding='utf-8').splitlines():
        name, label = line.rsplit(' ', 1)
        pixels = np.asarray(Image.open(root / split / name).convert('RGB')).reshape(-1, 3)
        features.append(np.concatenate([pixels.mean(0), pixels.std(0)]))
        labels.append(int(label))
    return np.array(features), np.array(labels)
