"""Writes the measured figures into docs/without_weights.md, between its two marks.

PYTHONPATH=.:tools python -m dev.weights.tables
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from statistics import mean

from .results import FILE, rows

PAGE = FILE.with_name('without_weights.md')
FIGURES = {
    'knn': 'accuracy',
    'probe': 'accuracy',
    'labels': 'accuracy',
    'swin': 'accuracy',
    'architectures': 'accuracy',
    'detection': 'segm_mAP_50',
    'segmentation': 'mIoU',
    'direct': 'segm_mAP_50',
}
TITLES = {
    'knn': '(a) Stamps that distillation never saw, leave-one-out 5-NN, in %',
    'probe': '(b) Fashion-MNIST from few labels, 5-NN on frozen features, accuracy in %',
    'labels': '(b) Fashion-MNIST from few labels, fine-tuned, accuracy in %',
    'swin': 'From a trained Swin of its widths, Fashion-MNIST from few labels, fine-tuned, accuracy in %',
    'detection': '(c) Mask R-CNN on composites, mask AP50 in %',
    'segmentation': '(c) UperNet on composites, mIoU in %',
    'architectures': '(d) SepViT-Lite and a Swin of its widths, Fashion-MNIST from scratch, accuracy in %',
    'direct': '(e) Direct pretraining and scratch at equal processor time, mask AP50 in %',
}
WEIGHTS = '--weights mmsepvit://sepvit_lite_distilled'
COMMANDS = {
    'knn': f'knn --packages packages {WEIGHTS}',
    'probe': f'fashion probe --labels 1000 10000 {WEIGHTS}',
    'labels': f'fashion labels --labels 1000 10000 {WEIGHTS}',
    'swin': 'swin_start compare --work work',
    'detection': f'dense detection --data composites {WEIGHTS}',
    'segmentation': f'dense segmentation --data composites {WEIGHTS}',
    'architectures': 'fashion architectures --labels 10000',
    'direct': 'dense direct --data composites',
}
NOT_RUN = 'Not run.'


def table(name: str) -> str:
    """One line an arm: its setting, the figure of every seed, their mean."""
    figure = FIGURES[name]
    arms = defaultdict(list)
    for row in rows():
        if row['table'] == name:
            setting = ', '.join(f'{row[key]} {key}' for key in ('labels', 'steps', 'side') if key in row)
            arms[setting, row['arm']].append(row[figure])
    if not arms:
        return NOT_RUN
    lines = ['| setting | arm | each seed | mean |', '|---|---|---|---|']
    for (setting, arm), values in arms.items():
        percent = [value if figure == 'mIoU' else 100 * value for value in values]
        lines.append(f'| {setting} | {arm} | {_list(percent)} | **{mean(percent):.1f}** |')
    return '\n'.join(lines)


def _list(values: Sequence[float]) -> str:
    return ', '.join(f'{value:.1f}' for value in values)


def main() -> None:
    text = PAGE.read_text(encoding='utf-8')
    body = '\n\n'.join(
        f'**{title}**: `dev.weights.{COMMANDS[name]}`\n\n{table(name)}' for name, title in TITLES.items()
    )
    marked = re.compile(r'(<!-- tables -->\n).*?(<!-- end of tables -->)', re.DOTALL)
    PAGE.write_text(marked.sub(lambda m: f'{m[1]}\n{body}\n\n{m[2]}', text), encoding='utf-8')


if __name__ == '__main__':
    main()
