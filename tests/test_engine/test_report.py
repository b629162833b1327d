"""Pictures, curves and the table of the demo, from runs of the small networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from small_runs import LAST, TASKS, short_options, small_config

from mmsepvit.cli import demo
from mmsepvit.cli.test import main as run_test
from mmsepvit.evaluation import report


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
        report.read_history(work_dir),
        report.read_metrics(tmp_path / 'test'),
        report.read_predictions(out),
        tmp_path / 'pictures',
    )


@pytest.mark.parametrize(('run', 'task'), [(task, task) for task in TASKS], indirect=['run'])
def test_figures_and_pictures(run: demo.Run, task: str) -> None:
    figures = demo._TASKS[task][1](run)
    assert len(run.history.losses) == 2
    assert len(figures) == (3 if task == 'det' else 1)
    for figure in figures:
        assert np.isfinite(figure.value)
    if task != 'det':
        assert figures[0].baselines
        # An untrained network of a few thousand parameters is no better than that.
        assert not figures[0].reached
    for name in ('held_out.png', 'curves.png'):
        picture = np.asarray(Image.open(run.folder / name).convert('RGB'))
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 5


def test_history_puts_epochs_and_iterations_on_one_axis(tmp_path: Path) -> None:
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '{"lr": 0.1, "loss": 4.0, "epoch": 1, "iter": 10, "step": 10}\n'
        '{"accuracy/top1": 20.0, "data_time": 0.1, "time": 0.1, "step": 1}\n'
        '{"lr": 0.1, "loss": 1.0, "epoch": 2, "iter": 20, "step": 20}\n'
        '{"accuracy/top1": 30.0, "data_time": 0.1, "time": 0.1, "step": 2}\n'
    )
    history = report.read_history(tmp_path)
    assert history.losses == [(10, 4.0), (20, 1.0)]
    assert history.metrics == {'accuracy/top1': [(10, 20.0), (20, 30.0)]}
    assert history.loss_fall() == 0.25


def test_history_of_iterations(tmp_path: Path) -> None:
    folder = tmp_path / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '{"lr": 0.1, "loss": 4.0, "iter": 30, "step": 30}\n{"mIoU": 20.0, "step": 35}\n'
    )
    assert report.read_history(tmp_path).metrics == {'mIoU': [(35, 20.0)]}


def test_figure() -> None:
    assert demo.Figure('a', 3.0, 2.0).reached
    assert not demo.Figure('a', 2.0, 2.0).reached
    assert demo.Figure('a', 0.4, 0.5, below=True).reached
    assert not demo.Figure('a', float('nan'), 0.5).reached
    figures = [('config', demo.Figure('mean IoU', 15.0, 12.0, baselines={'colour': 12.0}))]
    figures.append(('config', demo.Figure('loss', 0.7, 0.5, below=True)))
    console = Console(width=120, record=True)
    console.print(demo._table(figures))
    text = console.export_text()
    for words in ('15.00 (reached)', 'above 12.00', 'colour 12.0', '0.70 (not reached)', 'below 0.50'):
        assert words in text


@pytest.mark.parametrize(('value', 'code'), [(20.0, 0), (1.0, 1)])
def test_exit_code(value: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, 'make_mini_data', lambda: None)
    monkeypatch.setattr(demo, '_train_and_test', lambda *_: None)
    evaluate = lambda _: [demo.Figure('mean IoU', value, 12.0)]  # noqa: E731
    monkeypatch.setitem(demo._TASKS, 'seg', ('upernet_sepvit_t_ade20k', evaluate))
    assert demo.demo(['--out', str(tmp_path)], tmp_path) == code
