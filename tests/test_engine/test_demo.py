"""Pictures, curves and the table of the demo, from runs of the small networks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from small_runs import LAST, TASKS, short_options, small_config

from mmsepvit.cli import demo
from mmsepvit.cli.test import main as run_test
from mmsepvit.evaluation import pictures
from mmsepvit.evaluation.runs import read_history, read_metrics, read_predictions
from mmsepvit.evaluation.tables import PresentClasses


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    in_mini_root: Path,
    trained: Callable[[str], Path],
    tmp_path: Path,
) -> demo.Run:
    task, work_dir, out = request.param, trained(request.param), tmp_path / 'out.pkl'
    run_test(
        [
            *(small_config(task), str(work_dir / LAST[task]), '--mini', '--out', str(out)),
            *('--work-dir', str(tmp_path / 'test')),
            *('--cfg-options', *short_options(task, training=False)),
        ]
    )
    return demo.Run(
        read_history(work_dir), read_metrics(tmp_path / 'test'), read_predictions(out), tmp_path / 'pictures'
    )


@pytest.mark.parametrize(('run', 'task'), [(task, task) for task in TASKS], indirect=['run'])
def test_figures_and_pictures(run: demo.Run, task: str) -> None:
    figures = demo.TASKS[task].evaluate(run)
    assert len(run.history.losses) == 2
    assert len(figures) == (2 if task == 'det' else 1)
    for figure in figures:
        assert np.isfinite(figure.value)
        # An untrained network of a few thousand parameters is no better than that.
        assert not figure.reached
    assert sorted(figures[0].baselines) == {'seg': ['colour', 'colour and row'], 'cls': ['chance', 'colour']}.get(
        task, []
    )
    for name in ('held_out.png', 'curves.png'):
        picture = np.asarray(Image.open(run.folder / name).convert('RGB'))
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 5


def test_logs_name_the_classes_that_are_there(trained: Callable[[str], Path]) -> None:
    (log,) = trained('seg').glob('*/*.log')
    table = [line for line in log.read_text().splitlines() if line.startswith('|')]
    assert any('sky' in line for line in table)
    assert len(table) < 100  # of the 150 classes, those that an untrained network predicts too
    assert not any(line.split('|')[2].strip() == 'nan' for line in table)


def test_rows_without_a_number_are_left_out() -> None:
    table = '\n+---+\n| Class | IoU | Acc |\n| wall | nan | nan |\n| sky | 0.5 | nan |\n+---+'
    record = logging.LogRecord('', logging.INFO, '', 0, table, None, None)
    assert PresentClasses().filter(record)
    assert record.getMessage() == '\n+---+\n| Class | IoU | Acc |\n| sky | 0.5 | nan |\n+---+'
    message = 'loss is nan'
    record = logging.LogRecord('', logging.INFO, '', 0, message, None, None)
    assert PresentClasses().filter(record)
    assert record.getMessage() == message


def test_a_label_map_lies_over_its_image(tmp_path: Path) -> None:
    """Predicted is grass everywhere; in truth its left half is sky."""
    image, grass = np.full((60, 80, 3), 128, np.uint8), np.ones((60, 80), np.uint8)
    truth = grass.copy()
    truth[:, :40] = 0
    file = tmp_path / 'maps.png'
    colours = ((0, 0, 255), (0, 255, 0))
    pictures.draw_label_maps([image], [grass], [truth], ('sky', 'grass'), colours, file)
    drawn = np.asarray(Image.open(file).convert('RGB')).astype(int)
    blue, green = (drawn == (51, 51, 204)).all(-1), (drawn == (51, 204, 51)).all(-1)
    assert 0.7 < green.sum() / (3 * blue.sum()) < 1.3
    assert (drawn == (128, 128, 128)).all(-1).sum() > blue.sum()  # the image, alone


def test_history_puts_epochs_and_iterations_on_one_axis(tmp_path: Path) -> None:
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '{"lr": 0.1, "loss": 4.0, "epoch": 1, "iter": 10, "step": 10}\n'
        '{"accuracy/top1": 20.0, "data_time": 0.1, "time": 0.1, "step": 1}\n'
        '{"lr": 0.1, "loss": 1.0, "epoch": 2, "iter": 20, "step": 20}\n'
        '{"accuracy/top1": 30.0, "data_time": 0.1, "time": 0.1, "step": 2}\n'
    )
    history = read_history(tmp_path)
    assert history.losses == [(10, 4.0), (20, 1.0)]
    assert history.metrics == {'accuracy/top1': [(10, 20.0), (20, 30.0)]}


def test_history_of_iterations(tmp_path: Path) -> None:
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '{"lr": 0.1, "loss": 4.0, "iter": 30, "step": 30}\n{"mIoU": 20.0, "step": 35}\n'
    )
    assert read_history(tmp_path).metrics == {'mIoU': [(35, 20.0)]}


@pytest.mark.parametrize(
    ('value', 'mark', 'code'), [(15.0, 'reached', 0), (12.0, 'not reached', 0), (5.0, 'not reached', 1)]
)
def test_what_is_said_in_the_end(value: float, mark: str, code: int, tmp_path: Path) -> None:
    (tmp_path / 'held_out.png').touch()
    figures = [
        ('config', demo.Figure('mean IoU', value, 12.0, 5.0, {'colour': 8.0})),
        ('config', demo.Figure('a', 1.0, 0.5, 0.5)),
    ]
    console = Console(width=120, record=True)
    assert demo.show(console, figures, [tmp_path], 90.0) == code
    text = console.export_text()
    for words in (f'{value} ({mark})', 'above 12.0', 'colour 8.0', str(tmp_path / 'held_out.png'), '1.5 minutes'):
        assert words in text


def test_a_figure_that_is_no_number_is_not_reached() -> None:
    assert not demo.Figure('a', float('nan'), 0.5, 0.5).reached
