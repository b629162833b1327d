"""``make demo``: trains on the mini data, tests, and shows what came of it beside the baselines."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..configs.load import config_folder
from ..configs.mini import MINI_ROOT, make_mini_data
from ..datasets.mini.baselines import classification_baselines, segmentation_baselines
from ..datasets.mini.classes import IMAGENET_FOCUS
from ..errors import UserError
from ..evaluation import report
from .command import Parser

_PICTURES = 8


@dataclass
class Figure:
    """A number that the demo reaches, or not.

    Attributes:
        name: What was measured.
        value: Its value.
        goal: What it must be above, or below.
        below: Whether it must be below. Defaults to False.
        baselines: Name to value of what can be had without training.
    """

    name: str
    value: float
    goal: float
    below: bool = False
    baselines: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return self.value < self.goal if self.below else self.value > self.goal


@dataclass
class Run:
    """A finished training and test.

    Attributes:
        history: What the training logged.
        metrics: What the test measured.
        predictions: What the test predicted.
        folder: Where pictures go.
    """

    history: report.History
    metrics: dict[str, float]
    predictions: list[dict[str, Any]]
    folder: Path


def _segmentation(run: Run) -> list[Figure]:
    from mmseg.datasets import ADE20KDataset

    baselines = segmentation_baselines(MINI_ROOT)
    info = ADE20KDataset.METAINFO
    annotations = Path(MINI_ROOT) / 'ade/ADEChallengeData2016/annotations/validation'
    shown = _spread(run.predictions)
    report.draw_label_maps(shown, annotations, info['classes'], info['palette'], run.folder / 'held_out.png')
    report.draw_curves(run.history, ['mIoU'], baselines, run.folder / 'curves.png')
    goal = max(3 * baselines['commonest class'], baselines['colour'])
    return [Figure('mean IoU', run.metrics['mIoU'], goal, baselines=baselines)]


def _detection(run: Run) -> list[Figure]:
    from mmdet.datasets import CocoDataset
    from pycocotools.coco import COCO

    truth = COCO(f'{MINI_ROOT}/coco/annotations/instances_val2017.json')
    classes = CocoDataset.METAINFO['classes']
    shown = _spread(run.predictions)
    report.draw_objects(shown, truth, classes, run.folder / 'held_out.png')
    names = ['coco/bbox_mAP_50', 'coco/segm_mAP_50']
    report.draw_curves(run.history, names, {}, run.folder / 'curves.png')
    return [
        Figure('loss, last as a part of first', run.history.loss_fall(), 0.5, below=True),
        Figure('box AP50 (%)', 100 * run.metrics[names[0]], 5.0),
        Figure('mask AP50 (%)', 100 * run.metrics[names[1]], 5.0),
    ]


def _classification(run: Run) -> list[Figure]:
    baselines = classification_baselines(MINI_ROOT)
    names = {index: focus for focus, index in IMAGENET_FOCUS.values()}
    report.draw_classes(_spread(run.predictions, 24), names, run.folder / 'held_out.png')
    report.draw_curves(run.history, ['accuracy/top1'], baselines, run.folder / 'curves.png')
    accuracy = run.metrics['accuracy/top1']
    return [Figure('top-1 accuracy (%)', accuracy, 2 * baselines['chance'], baselines=baselines)]


_TASKS: dict[str, tuple[str, Callable[[Run], list[Figure]]]] = {
    'seg': ('upernet_sepvit_t_ade20k', _segmentation),
    'det': ('mask_rcnn_sepvit_t_1x_coco', _detection),
    'cls': ('sepvit_t_imagenet', _classification),
}


def _spread(items: list, count: int = _PICTURES) -> list:
    """So many of the items, evenly chosen."""
    step = max(1, len(items) // count)
    return items[::step][:count]


def main(argv: list[str]) -> int:
    """Runs ``tools/demo.py``.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        0, or 1 where a figure was not reached.

    Raises:
        UserError: A training or a test failed; it has said why.
    """
    parser = Parser('demo.py', 'Trains and tests SepViT on mini data and shows the result.')
    parser.add_argument('--task', choices=(*_TASKS, 'all'), default='seg', help='default: seg')
    parser.add_argument('--out', default='work_dirs/demo', help='default: work_dirs/demo')
    args = parser.parse_args(argv)
    configs = config_folder()
    if configs is None:
        raise UserError('the config files of this project are not here; run tools/demo.py of a clone.')

    console = Console(soft_wrap=True)
    started = time.monotonic()
    console.print(f'Mini data in {MINI_ROOT} ...')
    make_mini_data()
    tasks = list(_TASKS) if args.task == 'all' else [args.task]
    folders = {task: Path(args.out) / task for task in tasks}
    figures = []
    for task in tasks:
        name, evaluate = _TASKS[task]
        run = _train_and_test(console, configs.parent / 'tools', configs / f'{name}.py', folders[task])
        figures += [(name, figure) for figure in evaluate(run)]

    console.print(_table(figures))
    for task in tasks:
        for picture in sorted(folders[task].glob('*.png')):
            console.print(f'  {picture.absolute()}')
        console.print(f'  {(folders[task] / "train").absolute()}  (logs and checkpoints)')
    minutes = (time.monotonic() - started) / 60
    reached = all(figure.reached for _, figure in figures)
    verdict = 'All figures reached' if reached else 'NOT REACHED: see the table'
    console.print(f'{verdict}, in {minutes:.1f} minutes.')
    return 0 if reached else 1


def _train_and_test(console: Console, tools: Path, config: Path, folder: Path) -> Run:
    train, test = folder / 'train', folder / 'test'
    predictions = folder / 'predictions.pkl'
    _call(console, tools / 'train.py', config, '--mini', '--work-dir', train)
    checkpoint = (train / 'last_checkpoint').read_text(encoding='utf-8').strip()
    _call(
        console,
        *(tools / 'test.py', config, checkpoint, '--mini'),
        *('--work-dir', test, '--out', predictions),
    )
    return Run(
        report.read_history(train),
        report.read_metrics(test),
        report.read_predictions(predictions),
        folder,
    )


def _call(console: Console, *words: Any) -> None:
    """Runs a tool as a person would, its output going where this one's goes."""
    command = [str(word) for word in words]
    console.print(f'\n$ python {shlex.join(command)}', markup=False, highlight=False)
    if subprocess.run([sys.executable, *command], check=False).returncode != 0:
        raise UserError(f'{Path(command[0]).name} failed, see above.')


def _table(figures: list[tuple[str, Figure]]) -> Table:
    table = Table(title='Held-out mini data')
    for name in ('config', 'figure', 'trained', 'must be', 'without training'):
        table.add_column(name, overflow='fold')  # nothing is cut off in a narrow terminal
    for config, figure in figures:
        others = '\n'.join(f'{name} {value:.1f}' for name, value in figure.baselines.items())
        mark = 'reached' if figure.reached else 'not reached'
        table.add_row(
            config,
            figure.name,
            f'{figure.value:.2f} ({mark})',
            f'{"below" if figure.below else "above"} {figure.goal:.2f}',
            others or '-',
        )
    return table
