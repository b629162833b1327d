"""Draws predictions beside the truth, and the curves of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use('Agg')  # no display is needed, or there

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .runs import History

_DPI = 110
_STROKE = [withStroke(linewidth=2.5, foreground='black')]
_LEAST_AREA = 0.012  # of a picture; smaller regions are not named


def draw_curves(history: History, names: dict[str, str], baselines: dict[str, float], file: Path) -> None:
    """Draws the loss beside metrics, with the baselines as dashed lines that carry their names.

    Args:
        history: What the training logged.
        names: Metrics to draw, and what they are called.
        baselines: Name to value, in the metrics' unit.
        file: The file to write.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout='constrained')
    left.plot(*zip(*history.losses), color='C0')
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for i, (metric, name) in enumerate(names.items()):
        steps, values = zip(*history.metrics[metric])
        right.plot(steps, values, marker='o', color=f'C{i}')
        right.annotate(
            f'{name} {values[-1]:.3g}', (steps[-1], values[-1]), (0, 6), textcoords='offset points', ha='right'
        )
    for name, value in baselines.items():
        right.axhline(value, linestyle='--', color='0.45')
        right.annotate(f'{name} {value:.1f}', (0.01, value), (0, 3), right.get_yaxis_transform(), 'offset points')
    highest = max([*baselines.values(), *(value for name in names for _, value in history.metrics[name])])
    right.set(xlabel='iteration', ylabel='held-out pictures', xlim=(0, None), ylim=(0, 1.15 * highest + 1e-9))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    _save(figure, file)


def draw_label_maps(
    images: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    file: Path,
) -> None:
    """Draws predicted and true label maps over their images, with the names of the classes in place.

    Args:
        images: uint8 (H, W, 3), red, green and blue.
        predicted: Indices of classes (H, W).
        true: The same; 255 is unlabelled.
        classes: Names of the classes.
        palette: Colours (red, green, blue) of the classes.
        file: The file to write.
    """
    figure, rows = _grid(-(-len(images) // 2), 6, 2.7, ('image', 'predicted', 'true') * 2)
    for axes, image, *maps in zip(rows.reshape(-1, 3), images, predicted, true):
        axes[0].imshow(image)
        for panel, labels in zip(axes[1:], maps):
            _draw_label_map(panel, image, labels, classes, palette)
    _save(figure, file)


def _draw_label_map(axes: Axes, image: np.ndarray, labels: np.ndarray, classes: Any, palette: Any) -> None:
    shown = image.astype(float)
    for label in np.unique(labels):
        if label < len(classes):
            mask = (labels == label).astype(np.uint8)
            shown[mask > 0] = 0.4 * shown[mask > 0] + 0.6 * np.asarray(palette[label])
            _name_parts(axes, mask, classes[label])
    shown = np.ascontiguousarray(shown.astype(np.uint8))
    for label in np.unique(labels):
        outlines, _ = cv2.findContours((labels == label).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, outlines, -1, (255, 255, 255), 1)
    axes.imshow(shown)


def _name_parts(axes: Axes, mask: np.ndarray, name: str) -> None:
    """Writes a class's name in the middle of each large part of its mask."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask)
    for part in range(1, count):
        if statistics[part, cv2.CC_STAT_AREA] >= _LEAST_AREA * mask.size:
            inside = np.pad((parts == part).astype(np.uint8), 1)
            y, x = np.unravel_index(cv2.distanceTransform(inside, cv2.DIST_L2, 3).argmax(), inside.shape)
            _write(axes, x - 1, y - 1, name, ha='center', va='center')


def draw_objects(
    images: Sequence[np.ndarray], predicted: Sequence[list[dict]], true: Sequence[list[dict]], file: Path
) -> None:
    """Draws predicted beside true boxes and masks.

    Args:
        images: uint8 (H, W, 3), red, green and blue.
        predicted: The objects of each image: ``box`` (x, y, width, height), ``name``, ``label`` and, where there is
            one, ``mask`` (H, W).
        true: The same.
        file: The file to write.
    """
    figure, rows = _grid(-(-len(images) // 2), 4, 3.4, ('predicted', 'true') * 2)
    for axes, image, *sides in zip(rows.reshape(-1, 2), images, predicted, true):
        for panel, found in zip(axes, sides):
            panel.imshow(image)
            panel.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
            for thing in found:
                _draw_object(panel, **thing)
    _save(figure, file)


def _draw_object(axes: Axes, box: Sequence[float], name: str, label: int, mask: np.ndarray | None = None) -> None:
    colour = np.array(plt.get_cmap('tab10')(label % 10))
    if mask is not None:
        axes.imshow(np.where(mask[..., None] > 0, colour * [1, 1, 1, 0.45], 0.0))
    x, y, width, height = box
    axes.add_patch(Rectangle((x, y), width, height, fill=False, color=colour, linewidth=2))
    _write(axes, x + 3, max(y, 0) + 3, name, ha='left', va='top')


def draw_classes(images: Sequence[np.ndarray], predicted: Sequence[str], true: Sequence[str], file: Path) -> None:
    """Draws images with their predicted and true class, green where they agree."""
    figure, rows = _grid(-(-len(images) // 6), 6, 2.2)
    for axes, image, found, truth in zip(rows.flat, images, predicted, true):
        axes.imshow(image)
        text = found if found == truth else f'{found}\n(it is: {truth})'
        axes.set_title(text, color='green' if found == truth else 'red')
    _save(figure, file)


def _write(axes: Axes, x: float, y: float, text: str, **alignment: str) -> None:
    axes.text(x, y, text, color='white', fontsize=10, weight='bold', path_effects=_STROKE, clip_on=True, **alignment)


def _grid(rows: int, columns: int, width: float, titles: Sequence[str] = ()) -> tuple[Figure, np.ndarray]:
    size = (columns * width, rows * width * 0.8 + 0.3)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout='constrained')
    for one in axes.flat:
        one.axis('off')
    for one, title in zip(axes[0], titles):
        one.set_title(title)
    return figure, axes


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_DPI)
    plt.close(figure)
