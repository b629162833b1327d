"""Draws the training loss on composites, from nothing and distilled, into docs/weights_curves.svg.

PYTHONPATH=.:tools python -m dev.weights.curves
"""

from __future__ import annotations

import matplotlib.pyplot as plt

from .dense import EACH
from .results import FILE, rows

PICTURE = FILE.with_name('weights_curves.svg')
MODELS = {'segmentation': 'UperNet', 'detection': 'Mask R-CNN'}
COLOURS = {'scratch': 'tab:gray', 'distilled': 'tab:blue'}


def main() -> None:
    plt.rcParams.update({'svg.hashsalt': 'weights', 'font.size': 9})  # the same picture of the same rows
    measured = rows()
    figure, axes = plt.subplots(1, len(MODELS), figsize=(8, 2.8), layout='constrained')
    for axis, (table, model) in zip(axes, MODELS.items()):
        for arm, colour in COLOURS.items():
            for i, row in enumerate(row for row in measured if (row['table'], row['arm']) == (table, arm)):
                steps = [EACH * (n + 1) for n in range(len(row['loss']))]
                axis.plot(steps, row['loss'], color=colour, label=None if i else arm)
        axis.set(title=f'{model}, SepViT-Lite', xlabel='step', ylabel='training loss', yscale='log')
        axis.yaxis.set_major_formatter('{x:g}')
        axis.yaxis.set_minor_formatter('{x:g}')
        axis.legend(frameon=False)
    figure.savefig(PICTURE, metadata={'Date': None})


if __name__ == '__main__':
    main()
