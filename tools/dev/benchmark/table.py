"""Results as a table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from .run import EXPORTED, Result, Setting

_MIB = 2**20
_COLUMNS = 'model', 'time, ms', 'images/s', 'time / first', 'over limit', 'peak', 'saved', 'copied', 'operators'
_EXPORTED_COLUMNS = 'model', 'time, ms', 'images/s', 'time / first', 'time / eager fp32', 'cosine', 'peak'


def format_results(machine: dict[str, Any], results: Sequence[Result]) -> str:
    """A line on the machine, a table for each setting, and what its columns mean."""
    lines = [describe(machine), '']
    for setting, group in groupby(results, key=lambda result: result.setting):
        columns = _EXPORTED_COLUMNS if setting.engine in EXPORTED else _COLUMNS
        rows = [columns, ('---', *['---:'] * (len(columns) - 1)), *(_row(result, len(columns)) for result in group)]
        lines += [f'**{title(setting)}**', '', *('| ' + ' | '.join(row) + ' |' for row in rows), '']
    lines.append(
        "time / first: median of the rounds, each run in turn; over limit: time over that of the model's own matrix "
        'products, convolutions and attention calls; in brackets the middle half of the rounds. saved: kept for the '
        'backward pass; copied: written by layout operators in inference. time / eager fp32, cosine: of a file, beside '
        'the same model in PyTorch in the same round.'
    )
    return '\n'.join(lines)


def describe(machine: dict[str, Any]) -> str:
    """The machine and the versions in a line."""
    packages = ', '.join(machine['packages'].values())
    return (
        f'{machine["gpu"] or machine["cpu"]}, {machine["threads"]} of {machine["cores"]} cores, load '
        f'{machine["load"]} before, torch {machine["torch"]}, {packages}; {machine["time"]}'
    )


def title(setting: Setting) -> str:
    """The setting in words."""
    height, width = setting.size
    return f'{setting.mode}, {height}x{width}, batch {setting.batch}, {setting.precision}, {setting.engine}'


def middle_half(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method='inclusive')
    return low, high


def _row(result: Result, columns: int) -> list[str]:
    if result.error is not None:
        return [result.model, result.error, *[''] * (columns - 2)]
    first = [
        result.model,
        f'{statistics.median(result.times) * 1000:.1f}',
        f'{result.images_per_second:.2f}',
        _spread(result.ratios),
    ]
    if result.over_eager:
        return [*first, _spread(result.over_eager), f'{result.cosine:.4f}', _mib(result.peak_bytes)]
    return [
        *first,
        _spread(result.over_limit),
        *(_mib(value) for value in (result.peak_bytes, result.saved_bytes, result.copied_bytes)),
        str(result.operators),
    ]


def _spread(values: Sequence[float]) -> str:
    low, high = middle_half(values)
    return f'{statistics.median(values):.2f} ({low:.2f}-{high:.2f})'


def _mib(value: int | None) -> str:
    return '-' if value is None else f'{value / _MIB:.1f}'
