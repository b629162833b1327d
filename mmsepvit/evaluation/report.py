"""Pictures, curves and numbers of a finished training and test."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')  # no display is needed, or there

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from PIL import Image


@dataclass
class History:
    """What a training logged.

    Attributes:
        losses: (iteration, loss) pairs.
        metrics: Name to (iteration, value) pairs.
    """

    losses: list[tuple[int, float]]
    metrics: dict[str, list[tuple[int, float]]]

    def loss_fall(self) -> float:
        """The last logged loss as a part of the first."""
        return self.losses[-1][1] / self.losses[0][1]


def latest(folder: Path, pattern: str) -> Path:
    """The newest file that matches: each run has a folder named by its time.

    Raises:
        FileNotFoundError: There is none.
    """
    files = sorted(folder.glob(pattern))
    if not files:
        raise FileNotFoundError(f'no {pattern} in {folder}')
    return files[-1]


def read_history(work_dir: Path) -> History:
    """Reads the scalars of the newest training in a work directory."""
    lines = latest(work_dir, '*/vis_data/scalars.json').read_text(encoding='utf-8').splitlines()
    losses: list[tuple[int, float]] = []
    metrics: dict[str, list[tuple[int, float]]] = {}
    by_epoch = False
    for line in map(json.loads, lines):
        if 'loss' in line:
            losses.append((line['step'], line['loss']))
            by_epoch = 'epoch' in line
            continue
        # Where a training counts epochs, a metric's step does too, and comes after the last loss.
        at = losses[-1][0] if by_epoch and losses else line['step']
        for name, value in line.items():
            if isinstance(value, (int, float)) and name not in ('step', 'time', 'data_time'):
                metrics.setdefault(name, []).append((at, value))
    return History(losses, metrics)


def read_metrics(work_dir: Path) -> dict[str, float]:
    """Reads the metrics of the newest test in a work directory."""
    files = [file for file in sorted(work_dir.glob('*/*.json')) if file.stem == file.parent.name]
    return json.loads(files[-1].read_text(encoding='utf-8'))


def read_predictions(file: Path) -> list[dict[str, Any]]:
    """Reads what ``tools/test.py --out`` wrote."""
    with file.open('rb') as opened:
        return pickle.load(opened)


def draw_curves(history: History, names: Sequence[str], baselines: dict[str, float], file: Path) -> None:
    """Draws the loss beside the metrics, with the baselines as dashed lines.

    Args:
        history: What the training logged.
        names: Metrics to draw.
        baselines: Name to value, in the metrics' unit.
        file: The PNG to write.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    left.plot(*zip(*history.losses), color='tab:blue')
    left.set(xlabel='iteration', ylabel='training loss', ylim=(0, None))
    for name in names:
        right.plot(*zip(*history.metrics[name]), marker='o', label=name)
    for i, (name, value) in enumerate(baselines.items()):
        right.axhline(value, linestyle='--', color=f'C{i + len(names)}', label=name)
    right.set(xlabel='iteration', ylabel='held-out images', ylim=(0, None))
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    _save(figure, file)


def draw_label_maps(
    predictions: Sequence[dict[str, Any]],
    annotation_folder: Path,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    file: Path,
) -> None:
    """Draws images, predicted and true label maps side by side, with a legend of the classes seen.

    Args:
        predictions: Of ``--out`` for segmentation: path and label map (H, W) of each image.
        annotation_folder: Folder of the true label maps, in ADE20K's numbers (0 is unlabelled).
        classes: Names of the classes.
        palette: Colours (red, green, blue) of the classes.
        file: The PNG to write.
    """
    colours = np.asarray([*palette, (0, 0, 0)], dtype=np.uint8)  # the last one is unlabelled
    figure, rows = _grid(len(predictions), 3, 2.6)
    seen: set[int] = set()
    for row, prediction in zip(rows, predictions):
        path = Path(prediction['img_path'])
        truth = np.asarray(Image.open(annotation_folder / f'{path.stem}.png')).astype(int) - 1
        predicted = prediction['pred_sem_seg'].astype(int)
        seen |= set(np.unique(truth)) | set(np.unique(predicted))
        pictures = (np.asarray(Image.open(path)), colours[predicted], colours[truth])
        for axes, picture in zip(row, pictures):
            axes.imshow(picture)
    for axes, title in zip(rows[0], ('image', 'predicted', 'true')):
        axes.set_title(title)
    seen.discard(-1)
    patches = [Patch(color=colours[i] / 255, label=classes[i]) for i in sorted(seen)]
    figure.legend(handles=patches, loc='outside lower center', ncols=6, frameon=False)
    _save(figure, file)


def draw_objects(
    predictions: Sequence[dict[str, Any]],
    annotations: Any,
    classes: Sequence[str],
    file: Path,
    threshold: float = 0.3,
) -> None:
    """Draws predicted beside true boxes and masks.

    Args:
        predictions: Of ``--out`` for detection.
        annotations: A ``pycocotools.coco.COCO`` of the same images.
        classes: Names of the classes, in the order of the predicted labels.
        file: The PNG to write.
        threshold: Lowest score to draw. Defaults to 0.3.
    """
    from pycocotools import mask as rle

    figure, rows = _grid(len(predictions), 2, 3.2)
    for (left, right), prediction in zip(rows, predictions):
        image = np.asarray(Image.open(prediction['img_path']))
        left.imshow(image)
        right.imshow(image)
        found = prediction['pred_instances']
        for i, score in enumerate(found['scores'].tolist()):
            if score >= threshold:
                label = int(found['labels'][i])
                x1, y1, x2, y2 = found['bboxes'][i].tolist()
                mask = rle.decode(found['masks'][i]) if 'masks' in found else None
                name = f'{classes[label]} {score:.2f}'
                _draw_object(left, (x1, y1, x2 - x1, y2 - y1), mask, name, label)
        ids = annotations.getAnnIds(imgIds=[prediction['img_id']])
        for annotation in annotations.loadAnns(ids):
            name = annotations.cats[annotation['category_id']]['name']
            mask = annotations.annToMask(annotation)
            _draw_object(right, annotation['bbox'], mask, name, classes.index(name))
    rows[0][0].set_title('predicted')
    rows[0][1].set_title('true')
    _save(figure, file)


def _draw_object(axes: Axes, box: Sequence[float], mask: np.ndarray | None, name: str, label: int) -> None:
    colour = np.asarray(plt.get_cmap('tab10')(label % 10))
    if mask is not None:
        axes.imshow(np.where(mask[..., None] > 0, colour * [1, 1, 1, 0.45], 0.0))
    axes.add_patch(Rectangle((box[0], box[1]), box[2], box[3], fill=False, color=colour))
    axes.text(box[0], box[1] - 1, name, fontsize=6, color='white', backgroundcolor=(*colour[:3], 0.6))


def draw_classes(predictions: Sequence[dict[str, Any]], names: dict[int, str], file: Path) -> None:
    """Draws images with their predicted and true class, green where they agree.

    Args:
        predictions: Of ``--out`` for classification.
        names: Label to name.
        file: The PNG to write.
    """
    figure, rows = _grid(-(-len(predictions) // 6), 6, 1.9)
    for axes, prediction in zip(np.asarray(rows).flat, predictions):
        predicted, truth = int(prediction['pred_label']), int(prediction['gt_label'])
        axes.imshow(Image.open(prediction['img_path']))
        text = f'{names.get(predicted, predicted)}\n(true: {names.get(truth, truth)})'
        axes.set_title(text, fontsize=8, color='green' if predicted == truth else 'red')
    _save(figure, file)


def _grid(rows: int, columns: int, width: float) -> tuple[Any, Any]:
    size = (columns * width, rows * width * 0.78 + 0.6)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout='constrained')
    for one in axes.flat:
        one.axis('off')
    return figure, axes


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    plt.close(figure)
