"""Trains swapped algorithms with the recipe that comes along and with the kept one, for equal steps.

``python tools/dev/recipe_proof.py --work-dir work_dirs/recipe_proof`` writes a line of JSON a run into that folder and
goes on where it stopped; with ``--report`` it prints the table of docs/replace_backbone.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'


@dataclass(frozen=True)
class Algorithm:
    """A config that a package ships, with what of its result is compared.

    Attributes:
        config: The config.
        metrics: Names of the results, the first of which decides.
        options: Length of the run, as ``--cfg-options``.
    """

    config: str
    metrics: tuple[str, ...]
    options: tuple[str, ...]


_DETECTION = ('train_cfg.max_epochs=4', 'train_cfg.val_interval=4')
_SEGMENTATION = ('train_cfg.max_iters=160', 'train_cfg.val_interval=160')
ALGORITHMS = {
    'DeepLabV3+': Algorithm(
        'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-80k_ade20k-512x512', ('mIoU',), _SEGMENTATION
    ),
    'PointRend': Algorithm('mmseg::point_rend/pointrend_r50_4xb4-160k_ade20k-512x512', ('mIoU',), _SEGMENTATION),
    'ResNet classifier': Algorithm(
        'mmpretrain::resnet/resnet50_8xb32_in1k',
        ('accuracy/top1',),
        ('train_cfg.max_epochs=12', 'train_cfg.val_interval=12'),
    ),
    'RetinaNet': Algorithm('mmdet::retinanet/retinanet_r50_fpn_1x_coco', ('coco/bbox_mAP',), _DETECTION),
    'Mask R-CNN': Algorithm(
        'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco', ('coco/bbox_mAP', 'coco/segm_mAP'), _DETECTION
    ),
}
RECIPES = ('keep', 'sepvit')


def train(name: str, recipe: str, seed: int, work_dir: Path) -> dict:
    """Trains one algorithm on mini data in a process of its own; returns what is known of the run."""
    algorithm = ALGORITHMS[name]
    folder = work_dir / f'{name.replace(" ", "_")}-{recipe}-{seed}'
    command = [sys.executable, str(TRAIN), algorithm.config, '--backbone', 'sepvit-lite', '--recipe', recipe, '--mini']
    command += ['--work-dir', str(folder), '--cfg-options', f'randomness.seed={seed}', *algorithm.options]
    start = time.monotonic()
    done = subprocess.run(command, cwd=work_dir, capture_output=True, text=True, check=False)
    run = {'algorithm': name, 'recipe': recipe, 'seed': seed, 'minutes': round((time.monotonic() - start) / 60, 1)}
    if done.returncode:
        return {**run, 'error': done.stderr.strip().split('\n')[-1]}
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    run['loss'] = [losses[0], losses[-1]]
    run['metrics'] = {m: next(line[m] for line in reversed(lines) if m in line) for m in algorithm.metrics}
    return run


def table(runs: list[dict]) -> str:
    """The runs as a table: both recipes beside each other, each seed and their mean."""
    lines = ['| algorithm | result | kept recipe | recipe of SepViT |', '|---|---|---|---|']
    for name, algorithm in ALGORITHMS.items():
        for metric in algorithm.metrics:
            cells = []
            for recipe in RECIPES:
                found = [
                    100 * r['metrics'][metric] if metric.startswith('coco') else r['metrics'][metric]
                    for r in runs
                    if (r['algorithm'], r['recipe']) == (name, recipe) and 'metrics' in r
                ]
                each = ', '.join(f'{value:.1f}' for value in found)
                cells.append(f'{statistics.mean(found):.1f} ({each})' if found else '-')
            lines.append(f'| {name} | {metric.rpartition("/")[2]} | {cells[0]} | {cells[1]} |')
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
    for seed in args.seeds if not args.report else ():
        for name in args.only:
            for recipe in RECIPES:
                if (name, recipe, seed) in known:
                    continue
                run = train(name, recipe, seed, args.work_dir.resolve())
                runs.append(run)
                print(run, flush=True)
                with log.open('a') as file:
                    file.write(json.dumps(run) + '\n')
    print(table(runs))


if __name__ == '__main__':
    main()
