"""Trains swapped algorithms with the recipe that comes along and with the kept one, for equal steps.

``python tools/dev/recipe_proof.py --work-dir work_dirs/recipe_proof`` writes a line of JSON a run into that folder and
goes on where it stopped; with ``--report`` it prints the table of docs/replace_backbone.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from mmsepvit.cli.train import main as train
from mmsepvit.configs.mini import SETTINGS


@dataclass(frozen=True)
class Algorithm:
    """A config that a package ships, with what of its result is compared.

    Attributes:
        config: The config.
        metrics: Names of the results.
        options: What else is set, as ``--cfg-options``. Defaults to nothing.
    """

    config: str
    metrics: tuple[str, ...]
    options: tuple[str, ...] = ()


_PART = ('train_dataloader.dataset.indices=60',)
ALGORITHMS = {
    'DeepLabV3+': Algorithm('mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512', ('mIoU',)),
    'PointRend': Algorithm('mmseg::point_rend/pointrend_r50_4xb4-160k_ade20k-512x512', ('mIoU',)),
    'ResNet classifier': Algorithm('mmpretrain::resnet/resnet50_8xb32_in1k', ('accuracy/top1',)),
    'RetinaNet': Algorithm('mmdet::retinanet/retinanet_r50_fpn_1x_coco', ('coco/bbox_mAP_50',), _PART),
    'Mask R-CNN': Algorithm(
        'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco', ('coco/bbox_mAP_50', 'coco/segm_mAP_50'), _PART
    ),
}
RECIPES = ('keep', 'sepvit')
# Shorter than --mini, and of smaller images: iterations of a segmentor, epochs of the others. The schedules of both
# recipes are shortened to them. The rate is AdamW's; SGD's is the config's, scaled to the batch.
_SHORT = {
    'mmseg': replace(SETTINGS['mmseg'], length=120, val_interval=120),
    'mmpretrain': replace(SETTINGS['mmpretrain'], length=5, val_interval=5, lr=3e-4),
    'mmdet': replace(SETTINGS['mmdet'], length=4, val_interval=4, shrink=8),
}


def _train(argv: Sequence[str], folder: Path) -> None:
    """Trains in this process, whose data are in the folder."""
    os.chdir(folder)
    SETTINGS.update(_SHORT)
    train([*argv])


def run(name: str, recipe: str, seed: int, work_dir: Path) -> dict:
    """Trains one algorithm on mini data in a process of its own; returns what is known of the run."""
    algorithm = ALGORITHMS[name]
    folder = work_dir / f'{name.replace(" ", "_")}-{recipe}-{seed}'
    argv = [algorithm.config, '--backbone', 'sepvit-lite', '--recipe', recipe, '--mini', '--seed', str(seed)]
    argv += ['--work-dir', str(folder)]
    argv += ['--cfg-options', *algorithm.options] if algorithm.options else []
    start = time.monotonic()
    child = multiprocessing.get_context('fork').Process(target=_train, args=(argv, work_dir))
    child.start()
    child.join()
    found = {'algorithm': name, 'recipe': recipe, 'seed': seed, 'minutes': round((time.monotonic() - start) / 60, 1)}
    return (
        {**found, 'error': f'exit code {child.exitcode}'} if child.exitcode else {**found, **result(folder, algorithm)}
    )


def result(folder: Path, algorithm: Algorithm) -> dict:
    """Steps, loss and metrics in percent of a finished run, from its log."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    last = losses[-max(1, len(losses) // 5) :]
    # The evaluator says nothing of a detector that detects nothing.
    metrics = {m: next((line[m] for line in reversed(lines) if m in line), 0.0) for m in algorithm.metrics}
    metrics = {m: 100 * value if m.startswith('coco') else value for m, value in metrics.items()}
    steps = max(line.get('iter', line['step']) for line in lines if 'loss' in line)
    return {'steps': steps, 'loss': statistics.mean(last), 'metrics': metrics}


def table(runs: list[dict]) -> str:
    """The runs as a table: both recipes beside each other, the mean and each seed."""
    lines = ['| algorithm | steps | result | kept recipe | recipe of SepViT |', '|---|---|---|---|---|']
    for name, algorithm in ALGORITHMS.items():
        finished = [r for r in runs if r['algorithm'] == name and 'metrics' in r]
        for result in (*algorithm.metrics, 'loss'):
            cells = []
            for recipe in RECIPES:
                values = [r['metrics'].get(result, r['loss']) for r in finished if r['recipe'] == recipe]
                each = ', '.join(f'{value:.2f}' for value in values)
                cells.append(f'{statistics.mean(values):.2f} ({each})' if values else '-')
            steps = ', '.join(dict.fromkeys(str(r['steps']) for r in finished))
            label = 'training loss, last fifth' if result == 'loss' else result.rpartition('/')[2]
            lines.append(f'| {name} | {steps} | {label} | {cells[0]} | {cells[1]} |')
    return '\n'.join(lines)


def main() -> None:
    """Runs what is not in the log yet, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/recipe_proof'), help='folder of log and runs')
    parser.add_argument('--only', nargs='+', choices=ALGORITHMS, default=list(ALGORITHMS), help='algorithms to run')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1], help='seeds (default: 0 1)')
    parser.add_argument('--report', action='store_true', help='only print the table')
    args = parser.parse_args()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    log = args.work_dir.resolve() / 'runs.jsonl'
    runs = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    known = {(r['algorithm'], r['recipe'], r['seed']) for r in runs if 'metrics' in r}
    if not args.report:
        for package in SETTINGS:  # once, for all processes that are forked
            import_module(f'{package}.models')
    for seed in args.seeds if not args.report else ():
        for name in args.only:
            for recipe in RECIPES:
                if (name, recipe, seed) in known:
                    continue
                found = run(name, recipe, seed, args.work_dir.resolve())
                runs.append(found)
                print(found, flush=True)
                with log.open('a') as file:
                    file.write(json.dumps(found) + '\n')
    print(table(runs))


if __name__ == '__main__':
    main()
