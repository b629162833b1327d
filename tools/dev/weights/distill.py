"""Distils SepViT-Lite from EfficientNet-Lite0 on crops of the pictures that ``pictures.py`` collects, on a CPU.

    PYTHONPATH=.:tools python -m dev.weights.distill prepare --pictures pictures --work work
    PYTHONPATH=.:tools python -m dev.weights.distill train --work work --minutes 90 [--packages packages]

`prepare` draws the crops and computes what the teacher says of them once, in chunks; `train` uses the chunks that are
there when an epoch begins, and goes on from its last checkpoint where it was stopped, for so many minutes more. It
needs no teacher. `--start` takes the weights of an earlier training, and a new optimizer.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from mmsepvit.models.distillation import FeatureDistillation, Targets

from . import teacher  # noqa: F401 - registers EfficientNetLite0
from .crops import Crops
from .export import current_name
from .stamps import embed, leave_one_out, load_stamps, normalize

CHUNK = 4096
WARMUP = 20  # steps
SMALL = 0.3  # share of the batches that the student sees at half of the size; the targets stay those of the whole
PAIRS = [
    {'student': 1, 'teacher': 0, 'channels': 40},
    {'student': 2, 'teacher': 1, 'channels': 112},
    {'student': 3, 'teacher': 2, 'channels': 320},
    {'student': 3, 'teacher': 3, 'channels': 1280, 'weight': 2.0},
]


def build(teachers: Sequence[dict] = (), seed: int = 0, backbone: nn.Module | None = None) -> FeatureDistillation:
    torch.manual_seed(seed)
    return FeatureDistillation(
        backbone=backbone or {'type': 'mmsepvit.SepViT', 'arch': 'lite', 'window_token': 'zero'},
        teachers=teachers,
        pairs=PAIRS,
        standardize='channel',
        kl={'num_classes': 1000, 'weight': 0.2},
    )


def prepare(pictures: Path, work: Path, chunks: int, first: int) -> None:
    crops, model = Crops(pictures), build([{'type': 'mmsepvit.EfficientNetLite0'}])
    work.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + chunks):
        done = work / f'{number:03d}.done'
        if done.exists():
            continue
        rng = np.random.default_rng([17, number])
        images = np.stack([crops.draw(rng) for _ in range(CHUNK)]).transpose(0, 3, 1, 2).copy()
        parts: list[list[torch.Tensor]] = []
        for batch in torch.from_numpy(images).split(64):
            with torch.autocast('cpu', torch.bfloat16):
                targets = model.extract_targets(normalize(batch))
            parts.append([*targets.maps, targets.logits])
        np.save(work / f'{number:03d}.images.npy', images)
        for i, tensors in enumerate(zip(*parts)):
            np.save(work / f'{number:03d}.target{i}.npy', torch.cat(tensors).half().contiguous().numpy())
        done.touch()
        print(f'{time.strftime("%H:%M:%S")} chunk {number}', flush=True)


def endless(work: Path, size: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, Targets]]:
    while True:
        yield from batches(work, size, rng)


def batches(work: Path, size: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, Targets]]:
    """One epoch: chunks in random order, pictures in random order within a chunk, half of the batches mirrored."""
    numbers = sorted(path.stem for path in work.glob('*.done'))
    for number in rng.permutation(numbers):
        images = np.load(work / f'{number}.images.npy', mmap_mode='r')
        targets = [np.load(work / f'{number}.target{i}.npy', mmap_mode='r') for i in range(len(PAIRS) + 1)]
        for rows in np.sort(rng.permutation(CHUNK).reshape(-1, size), axis=1):
            batch = normalize(images[rows])
            maps = [torch.from_numpy(target[rows]).float() for target in targets]
            if rng.random() < 0.5:
                batch = batch.flip(-1)
                maps = [part.flip(-1) if part.ndim == 4 else part for part in maps]
            yield batch, Targets(tuple(maps[:-1]), maps[-1])


def start_from(file: Path, model: FeatureDistillation) -> None:
    """Loads the model of a ``last.pth``, also of one from before blocks had their norms inside their branches."""
    saved = torch.load(file, map_location='cpu', weights_only=True)['model']
    model.load_state_dict({current_name(name, model.state_dict()): value for name, value in saved.items()})


def train(
    work: Path,
    out: Path,
    minutes: float,
    rate: float,
    batch_size: int,
    start: Path | None = None,
    packages: Path | None = None,
    seed: int = 0,
    backbone: nn.Module | None = None,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = build(seed=seed, backbone=backbone).train()
    if start:
        start_from(start, model)
    average = copy.deepcopy(model).eval()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{'params': decayed, 'weight_decay': 0.05}, {'params': others, 'weight_decay': 0.0}])
    stamps = load_stamps(packages) if packages else None
    step, last = 0, out / 'last.pth'
    if last.exists():
        saved = torch.load(last, map_location='cpu', weights_only=True)
        for name, part in (('model', model), ('average', average), ('optimizer', optimizer)):
            part.load_state_dict(saved[name])
        step = saved['step']
    rng = np.random.default_rng([seed, step])
    begin, first_step = time.time(), step

    def save() -> None:
        parts = {'model': model.state_dict(), 'average': average.state_dict(), 'optimizer': optimizer.state_dict()}
        torch.save({**parts, 'step': step}, out / 'new.pth')
        (out / 'new.pth').replace(last)
        if stamps:
            pooled = embed(lambda x: average.backbone(x)[-1].mean(dim=(2, 3)), stamps[0])
            print(f'step {step} stamps 5-NN {leave_one_out(pooled, stamps[1]):.3f} ({len(stamps[1])})', flush=True)

    next_log, next_save = begin, begin + 300
    for images, targets in endless(work, batch_size, rng):
        # The rate falls in the second half of the time: how many steps that has is for the machine to say.
        share = (time.time() - begin) / (60 * minutes)
        if share >= 1:
            break
        warmup = min(1.0, (step - first_step + 1) / WARMUP)
        for group in optimizer.param_groups:
            group['lr'] = rate * warmup * 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * share - 1)))
        if rng.random() < SMALL:
            images = F.avg_pool2d(images, 2)
        with torch.autocast('cpu', torch.bfloat16):
            losses = model.distill(model.backbone(images), targets)
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        momentum = min(0.999, step / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - momentum)
        if time.time() > next_log:
            next_log = time.time() + 20
            parts = ' '.join(f'{name[5:]} {value:.4f}' for name, value in losses.items())
            now, lr = time.strftime('%H:%M:%S'), optimizer.param_groups[0]['lr']
            print(
                f'{now} step {step} side {images.shape[-1]} lr {lr:.2e} loss {loss:.4f} norm {norm:.2f} '
                f'cpu {time.process_time():.0f} | {parts}',
                flush=True,
            )
        if time.time() > next_save:
            save()
            next_save = time.time() + 300
    save()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('prepare', 'train'))
    parser.add_argument('--pictures', type=Path)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--start', type=Path, help='last.pth of an earlier training')
    parser.add_argument('--packages', type=Path)
    parser.add_argument('--chunks', type=int, default=16)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--minutes', type=float, default=90)
    parser.add_argument('--rate', type=float, default=3e-4)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == 'prepare':
        prepare(args.pictures, args.work, args.chunks, args.first)
    else:
        out = args.out or args.work
        train(args.work, out, args.minutes, args.rate, args.batch_size, args.start, args.packages, args.seed)
