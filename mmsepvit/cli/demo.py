"""``make demo``: trains on the mini data, tests, and shows what came of it beside the baselines."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ..configs.load import config_folder
from ..configs.mini import MINI_ROOT, make_mini_data
from ..datasets.mini.baselines import classification_baselines, segmentation_baselines
from ..datasets.mini.classes import IMAGENET_CLASSES
from ..errors import UserError
from ..evaluation import pictures
from ..evaluation.runs import History, read_history, read_metrics, read_predictions
from .command import Parser

_PICTURES = 8
_LEAST_SCORE = 0.8  # of a detected object that is drawn
# glibc gives large arrays back to the system when they are freed, and has them filled with zeros again for the next
# ones: a seventh of an iteration's time. These settings of it let a process keep its memory; other C libraries do not
# read them.
_KEEP_MEMORY = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': str(2**33), 'MALLOC_TOP_PAD_': str(2**26)}


@dataclass
class Figure:
    """A number that the demo reaches, or not.

    Attributes:
        name: What was measured.
        value: Its value.
        goal: What a convincing demo is above.
        floor: What a training that learned anything is above.
        baselines: Name to value of what can be had without training.
    """

    name: str
    value: float
    goal: float
    floor: float
    baselines: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return self.value > self.goal


@dataclass
class Run:
    """A finished training and test.

    Attributes:
        history: What the training logged.
        metrics: What the test measured.
        predictions: What the test predicted.
        folder: Where pictures go.
    """

    history: History
    metrics: dict[str, float]
    predictions: list[dict[str, Any]]
    folder: Path


def _segmentation(run: Run) -> list[Figure]:
    from mmseg.datasets import ADE20KDataset

    baselines = segmentation_baselines(MINI_ROOT)
    info = ADE20KDataset.METAINFO
    annotations = Path(MINI_ROOT) / 'ade/ADEChallengeData2016/annotations/validation'
    shown = _spread(run.predictions)
    truths = [cv2.imread(str(annotations / f'{Path(one["img_path"]).stem}.png'), cv2.IMREAD_UNCHANGED) for one in shown]
    pictures.draw_label_maps(
        _images(shown),
        [one['pred_sem_seg'] for one in shown],
        [truth - np.uint8(1) for truth in truths],  # as ADE20K is read: 0, unlabelled, becomes 255
        info['classes'],
        info['palette'],
        run.folder / 'held_out.png',
    )
    pictures.draw_curves(run.history, {'mIoU': 'mean IoU'}, baselines, run.folder / 'curves.png')
    goal, floor = 1.5 * baselines['colour and row'], 0.5 * baselines['colour']
    return [Figure('mean IoU', run.metrics['mIoU'], goal, floor, baselines)]


def _detection(run: Run) -> list[Figure]:
    from mmdet.datasets import CocoDataset
    from pycocotools import mask as coco_mask
    from pycocotools.coco import COCO

    truth = COCO(f'{MINI_ROOT}/coco/annotations/instances_val2017.json')
    classes = CocoDataset.METAINFO['classes']
    shown = _spread(run.predictions)
    predicted: list[Any] = []
    true: list[Any] = []
    for one in shown:
        found = one['pred_instances']
        kept = [i for i, score in enumerate(found['scores'].tolist()) if score >= _LEAST_SCORE]
        predicted.append([])
        for i in kept:
            x1, y1, x2, y2 = found['bboxes'][i].tolist()
            label = int(found['labels'][i])
            text = f'{classes[label]} {found["scores"][i]:.2f}'
            thing = {'box': (x1, y1, x2 - x1, y2 - y1), 'name': text, 'label': label}
            predicted[-1].append({**thing, 'mask': coco_mask.decode(found['masks'][i])})
        annotations = truth.loadAnns(truth.getAnnIds(imgIds=[one['img_id']]))
        true.append([])
        for annotation in annotations:
            name = truth.cats[annotation['category_id']]['name']
            thing = {'box': annotation['bbox'], 'name': name, 'label': classes.index(name)}
            true[-1].append({**thing, 'mask': truth.annToMask(annotation)})
    pictures.draw_objects(_images(shown), predicted, true, run.folder / 'held_out.png')
    names = {'coco/bbox_mAP_50': 'box AP50', 'coco/segm_mAP_50': 'mask AP50'}
    pictures.draw_curves(run.history, names, {}, run.folder / 'curves.png')
    return [Figure(f'{name} (%)', 100 * run.metrics[metric], 30.0, 1.0) for metric, name in names.items()]


def _classification(run: Run) -> list[Figure]:
    baselines = classification_baselines(MINI_ROOT)
    names = {label: name for name, label in IMAGENET_CLASSES.values()}
    shown = _spread(run.predictions, 24)
    found, true = ([int(one[key]) for one in shown] for key in ('pred_label', 'gt_label'))
    pictures.draw_classes(
        _images(shown),
        [names.get(label, f'class {label}') for label in found],
        [names[label] for label in true],
        run.folder / 'held_out.png',
    )
    pictures.draw_curves(run.history, {'accuracy/top1': 'top-1 accuracy'}, baselines, run.folder / 'curves.png')
    return [Figure('top-1 accuracy (%)', run.metrics['accuracy/top1'], 60.0, baselines['chance'], baselines)]


@dataclass(frozen=True)
class Task:
    """What the demo trains for a task.

    Attributes:
        config: Name of the config.
        evaluate: What measures and draws a finished run.
        options: What the training has other than ``--mini``, as ``--cfg-options``. Defaults to nothing.
    """

    config: str
    evaluate: Callable[[Run], list[Figure]]
    options: tuple[str, ...] = ()


def _start(weights: str) -> tuple[str, ...]:
    return (
        'model.backbone.init_cfg.type=Pretrained',
        f'model.backbone.init_cfg.checkpoint=mmsepvit://{weights}',
        'model.backbone.init_cfg.prefix=backbone.',
    )


# All start from the weights of the package, which a training of minutes needs; the detector's config names them itself.
TASKS = {
    'seg': Task('upernet_sepvit_t_ade20k', _segmentation, _start('sepvit_tiny_widened')),
    'det': Task('mask_rcnn_sepvit_lite_1x_coco', _detection),
    'cls': Task(
        'sepvit_lite_imagenet',
        _classification,
        (
            *_start('sepvit_lite_distilled'),
            'model.backbone.single_window_psa=True',  # as the weights have it
            'optim_wrapper.optimizer.lr=5e-4',
        ),
    ),
}


def main(argv: list[str]) -> int:
    """Runs ``tools/demo.py``.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        0, or 1 where a figure is not above its floor, so that something is broken.

    Raises:
        UserError: A training or a test failed; it has said why.
    """
    parser = Parser('demo.py', 'Trains and tests SepViT on mini data and shows the result.')
    parser.add_argument('--task', choices=(*TASKS, 'all'), default='seg', help='default: seg')
    parser.add_argument('--out', default='work_dirs/demo', help='default: work_dirs/demo')
    args = parser.parse_args(argv)
    configs = config_folder()
    if configs is None:
        raise UserError('the config files of this project are not here; run tools/demo.py of a clone.')

    console = Console(soft_wrap=True)
    started = time.monotonic()
    console.print(f'Mini data in {MINI_ROOT} ...')
    make_mini_data()
    tasks = list(TASKS) if args.task == 'all' else [args.task]
    folders = {task: Path(args.out) / task for task in tasks}
    figures = []
    for task in tasks:
        run = _train_and_test(console, configs, TASKS[task], folders[task])
        figures += [(TASKS[task].config, figure) for figure in TASKS[task].evaluate(run)]

    return show(console, figures, [folders[task] for task in tasks], time.monotonic() - started)


def show(console: Console, figures: list[tuple[str, Figure]], folders: list[Path], seconds: float) -> int:
    """Prints what was reached and where the pictures are.

    Args:
        console: Where to print.
        figures: Names of configs and what was measured of them.
        folders: Folders of the tasks, with pictures, and logs and checkpoints in ``train``.
        seconds: How long all of it took.

    Returns:
        The exit code: 0, or 1 where a figure is not above its floor, so that something is broken.
    """
    console.print(_table(figures))
    for folder in folders:
        for picture in sorted(folder.glob('*.png')):
            console.print(f'  {picture.absolute()}')
        console.print(f'  {(folder / "train").absolute()}  (logs and checkpoints)')
    reached = all(figure.reached for _, figure in figures)
    verdict = 'All figures reached' if reached else 'NOT REACHED: see the table'
    console.print(f'{verdict}, in {seconds / 60:.1f} minutes.')
    return 0 if all(figure.value > figure.floor for _, figure in figures) else 1


def _train_and_test(console: Console, configs: Path, task: Task, folder: Path) -> Run:
    tools, config = configs.parent / 'tools', configs / f'{task.config}.py'
    train, test = folder / 'train', folder / 'test'
    predictions = folder / 'predictions.pkl'
    precision = ('--amp', 'bf16') if bfloat16_is_faster() else ()
    options = ('--cfg-options', *task.options) if task.options else ()
    # Of one seed, so that everybody gets the pictures and figures that the README shows.
    _call(console, tools / 'train.py', config, '--mini', '--seed', '0', *precision, '--work-dir', train, *options)
    checkpoint = (train / 'last_checkpoint').read_text(encoding='utf-8').strip()
    _call(console, tools / 'test.py', config, checkpoint, '--mini', '--work-dir', test, '--out', predictions, *options)
    return Run(read_history(train), read_metrics(test), read_predictions(predictions), folder)


def bfloat16_is_faster() -> bool:
    """Whether this processor convolves faster in bfloat16, as those with instructions for it do."""
    images, convolution = torch.rand(4, 256, 24, 24), torch.nn.Conv2d(256, 256, 3)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        module, x = convolution.to(dtype), images.to(dtype)
        with torch.no_grad():
            module(x)
            start = time.perf_counter()
            for _ in range(5):
                module(x)
        seconds[dtype] = time.perf_counter() - start
    return seconds[torch.bfloat16] < 0.7 * seconds[torch.float32]


def _call(console: Console, *words: Any) -> None:
    """Runs a tool as a person would, its output going where this one's goes."""
    command = [str(word) for word in words]
    console.print(f'\n$ python {shlex.join(command)}', markup=False, highlight=False)
    environ = {**_KEEP_MEMORY, **os.environ}
    if subprocess.run([sys.executable, *command], env=environ, check=False).returncode != 0:
        raise UserError(f'{Path(command[0]).name} failed, see above.')


def _spread(items: list, count: int = _PICTURES) -> list:
    """So many of the items, evenly chosen."""
    step = max(1, len(items) // count)
    return items[::step][:count]


def _images(predictions: list[dict[str, Any]]) -> list[np.ndarray]:
    return [cv2.imread(one['img_path'])[..., ::-1] for one in predictions]


def _table(figures: list[tuple[str, Figure]]) -> Table:
    table = Table(title='Held-out mini data')
    for name in ('config', 'figure', 'trained', 'goal', 'without training'):
        table.add_column(name, overflow='fold')  # nothing is cut off in a narrow terminal
    for config, figure in figures:
        others = '\n'.join(f'{name} {value:.1f}' for name, value in figure.baselines.items())
        mark = 'reached' if figure.reached else 'not reached'
        table.add_row(config, figure.name, f'{figure.value:.1f} ({mark})', f'above {figure.goal:.1f}', others or '-')
    return table
