"""Reads back what a training and a test wrote into their work directories."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class History:
    """What a training logged.

    Attributes:
        losses: (iteration, loss) pairs.
        metrics: Name to (iteration, value) pairs.
    """

    losses: list[tuple[int, float]] = field(default_factory=list)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


def read_history(work_dir: Path) -> History:
    """Reads the scalars of the newest training in a work directory, whose runs have folders named by their time."""
    file = max(work_dir.glob('*/vis_data/scalars.json'))
    history = History()
    by_epoch = False
    for line in map(json.loads, file.read_text(encoding='utf-8').splitlines()):
        if 'loss' in line:
            history.losses.append((line['step'], line['loss']))
            by_epoch = 'epoch' in line
            continue
        # Where a training counts epochs, a metric's step does too, and comes after the last loss.
        at = history.losses[-1][0] if by_epoch and history.losses else line['step']
        for name, value in line.items():
            if isinstance(value, (int, float)) and name not in ('step', 'time', 'data_time'):
                history.metrics.setdefault(name, []).append((at, value))
    return history


def read_metrics(work_dir: Path) -> dict[str, float]:
    """Reads the metrics of the newest test in a work directory."""
    file = max(file for file in work_dir.glob('*/*.json') if file.stem == file.parent.name)
    return json.loads(file.read_text(encoding='utf-8'))


def read_predictions(file: Path) -> list[dict[str, Any]]:
    """Reads what ``tools/test.py --out`` wrote."""
    with file.open('rb') as opened:
        return pickle.load(opened)
