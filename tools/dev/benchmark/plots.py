"""Results as pictures: bars for each setting, and growth with image size and batch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .run import Result, Setting
from .table import describe, middle_half, title

_MIB = 2**20


def draw_plots(machine: dict[str, Any], results: Sequence[Result], folder: Path) -> list[Path]:
    """Draws what the results allow.

    Args:
        machine: Where they were measured.
        results: The results.
        folder: Folder for the PNG files; made if it is not there.

    Returns:
        The files: bars of each mode, engine and precision; growth with the image, and with the batch, where there are
        two or more of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = [result for result in results if result.error is None]
    files = []
    for kind, group in _grouped(done, lambda s: (s.mode, s.precision, s.engine)):
        name = '_'.join(kind)
        files.append(_save(_bars(group), machine, folder / f'bars_{name}.png'))
        for axis, blank in (('pixels', {'size': (0, 0)}), ('batch', {'batch': 0})):
            lines = [rows for _, rows in _grouped(group, lambda s, blank=blank: replace(s, **blank))]  # type: ignore[misc]
            longest = max(lines, key=lambda rows: len({row.setting for row in rows}))
            if len({row.setting for row in longest}) > 1:
                files.append(_save(_growth(longest, axis), machine, folder / f'growth_{axis}_{name}.png'))
    return files


def _grouped(results: Sequence[Result], key: Callable[[Setting], Any]) -> list[tuple[Any, list[Result]]]:
    ordered = sorted(results, key=lambda result: repr(key(result.setting)))
    return [(value, list(rows)) for value, rows in groupby(ordered, key=lambda result: key(result.setting))]


def _save(figure: Figure, machine: dict[str, Any], path: Path) -> Path:
    figure.text(0.01, 0.005, describe(machine), fontsize=6)
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=110)
    return path


def _bars(results: list[Result]) -> Figure:
    settings = list(dict.fromkeys(result.setting for result in results))
    figure = Figure(figsize=(12, 0.8 + 2.2 * len(settings)))
    axes = figure.subplots(len(settings), 3, squeeze=False)
    for row, setting in zip(axes, settings):
        rows = [result for result in results if result.setting == setting][::-1]
        names = [result.model for result in rows]
        _bar(row[0], names, [result.ratios for result in rows], "time over the first model's")
        _bar(row[1], names, [result.over_limit for result in rows], 'time over its arithmetic limit')
        _bar(row[2], names, [[(result.saved_bytes or 0) / _MIB] for result in rows], 'kept for backward, MiB')
        row[0].set_title(title(setting), fontsize=8, loc='left')
    return figure


def _bar(axes: Axes, names: list[str], values: list[list[float]], label: str) -> None:
    medians = [statistics.median(value) for value in values]
    halves = [middle_half(value) for value in values]
    spread = [[m - low for m, (low, _) in zip(medians, halves)], [high - m for m, (_, high) in zip(medians, halves)]]
    axes.barh(names, medians, xerr=spread, color=[_colour(name) for name in names], error_kw={'linewidth': 1})
    axes.set_xlabel(label, fontsize=7)
    axes.tick_params(labelsize=7)


def _growth(results: list[Result], axis: str) -> Figure:
    figure = Figure(figsize=(12, 4))
    time, memory, share = figure.subplots(1, 3)
    for model in dict.fromkeys(result.model for result in results):
        rows = sorted((r for r in results if r.model == model), key=_pixels)
        if len(rows) < 2:
            continue
        x = [_pixels(row) / 1e6 if axis == 'pixels' else row.setting.batch for row in rows]
        style = {'marker': 'o', 'markersize': 3, 'label': model, 'color': _colour(model)}
        time.plot(x, [statistics.median(row.times) * 1000 for row in rows], **style)
        memory.plot(x, [(row.saved_bytes or 0) / _MIB for row in rows], **style)
        if model.startswith('sepvit'):
            share.plot(x, [100 * row.limit.get('bmm', 0.0) / sum(row.limit.values()) for row in rows], **style)
    for axes, label in ((time, 'time, ms'), (memory, 'kept for backward, MiB'), (share, 'PSA in the arithmetic, %')):
        axes.set_xlabel('million pixels' if axis == 'pixels' else 'images')
        axes.set_ylabel(label)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    time.legend(fontsize=7)
    time.set_title(
        f'{results[0].setting.mode}, {results[0].setting.precision}, {results[0].setting.engine}', fontsize=8
    )
    return figure


def _pixels(result: Result) -> int:
    height, width = result.setting.size
    return height * width * result.setting.batch


def _colour(model: str) -> Any:
    families = ('sepvit', 'plain', 'swin', 'twins', 'pcpvt', 'pvtv2')
    position = next(i for i, family in enumerate(families) if model.startswith(family))
    shade = 1.0 if model.endswith(('tiny', 'b2', 'svt-small', 'pcpvt-small')) else 0.65
    return (*mpl.colormaps['tab10'](position)[:3], shade)
