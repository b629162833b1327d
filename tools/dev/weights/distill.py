"""Distils SepViT-Lite from EfficientNet-Lite0 on crops of the pictures that ``pictures.py`` collects, on a CPU.

    PYTHONPATH=.:tools python -m dev.weights.distill prepare --pictures pictures --work work
    PYTHONPATH=.:tools python -m dev.weights.distill train --work work --minutes 90 [--packages packages]

`prepare` draws the crops and computes what the teacher says of them once, in chunks; `train` uses the chunks that are
there when an epoch begins, and goes on from its last checkpoint where it was stopped.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from mmsepvit.models.distillation import FeatureDistillation, Targets

from . import teacher  # noqa: F401 - registers EfficientNetLite0
from .crops import Crops
from .stamps import embed, leave_one_out, load_stamps, normalize

CHUNK = 4096
PAIRS = [
    {'student': 1, 'teacher': 0, 'channels': 40},
    {'student': 2, 'teacher': 1, 'channels': 112},
    {'student': 3, 'teacher': 2, 'channels': 320},
    {'student': 3, 'teacher': 3, 'channels': 1280, 'weight': 2.0},
]


def build(seed: int = 0, **changes: object) -> FeatureDistillation:
    torch.manual_seed(seed)
    settings = {'standardize': 'channel', 'kl': {'num_classes': 1000, 'weight': 0.2}, **changes}
    return FeatureDistillation(
        backbone={'type': 'mmsepvit.SepViT', 'arch': 'lite', 'window_token': 'zero'},
        teachers={'type': 'mmsepvit.EfficientNetLite0'},
        pairs=PAIRS,
        **settings,
    )


def prepare(pictures: Path, work: Path, chunks: int, first: int) -> None:
    crops, model = Crops(pictures), build()
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


def batches(work: Path, size: int, rng: np.random.Generator):
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


def train(
    work: Path, out: Path, minutes: float, rate: float, batch_size: int, packages: Path | None, seed: int, **changes
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model = build(seed, **changes).train()
    average = build(seed, **changes)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{'params': decayed, 'weight_decay': 0.05}, {'params': others, 'weight_decay': 0.0}])
    stamps = load_stamps(packages) if packages else None
    # The rate falls in the second half of the time, so that a run that was paused ends on time all the same.
    state = {'step': 0, 'end': time.time() + 60 * minutes, 'begin': time.time()}
    last = out / 'last.pth'
    if last.exists():
        saved = torch.load(last, map_location='cpu', weights_only=True)
        for name, part in (('model', model), ('average', average), ('optimizer', optimizer)):
            part.load_state_dict(saved[name])
        state = saved['state']
    rng = np.random.default_rng([seed, state['step']])

    def save() -> None:
        parts = {'model': model.state_dict(), 'average': average.state_dict(), 'optimizer': optimizer.state_dict()}
        torch.save({**parts, 'state': state}, out / 'new.pth')
        (out / 'new.pth').replace(last)
        torch.save({'state_dict': average.state_dict()}, out / f'step_{state["step"]}.pth')

    next_save = next_log = 0.0
    while time.time() < state['end']:
        for images, targets in batches(work, batch_size, rng):
            share = min(1.0, (time.time() - state['begin']) / (state['end'] - state['begin']))
            if share >= 1:
                break
            warmup = min(1.0, (state['step'] + 1) / 100)
            for group in optimizer.param_groups:
                group['lr'] = rate * warmup * 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * share - 1)))
            losses = model.distill(model.backbone(images), targets)
            loss = sum(losses.values())
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            state['step'] += 1
            momentum = min(0.999, state['step'] / (state['step'] + 10))
            with torch.no_grad():
                for mean, value in zip(average.parameters(), model.parameters()):
                    mean.lerp_(value, 1 - momentum)
            if time.time() > next_log:
                next_log = time.time() + 20
                parts = ' '.join(f'{name[5:]} {value:.4f}' for name, value in losses.items())
                print(
                    f'{time.strftime("%H:%M:%S")} step {state["step"]} lr {optimizer.param_groups[0]["lr"]:.2e} '
                    f'loss {loss:.4f} norm {norm:.2f} cpu {time.process_time():.0f} | {parts}',
                    flush=True,
                )
            if time.time() > next_save:
                if next_save:
                    save()
                    if stamps:
                        average.eval()
                        pooled = embed(lambda x: average.backbone(x)[-1].mean(dim=(2, 3)), stamps[0])
                        accuracy = leave_one_out(pooled, stamps[1])
                        print(f'step {state["step"]} stamps 5-NN {accuracy:.3f} ({len(stamps[1])})', flush=True)
                next_save = time.time() + 300
    save()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('prepare', 'train'))
    parser.add_argument('--pictures', type=Path)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--packages', type=Path)
    parser.add_argument('--chunks', type=int, default=16)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--minutes', type=float, default=90)
    parser.add_argument('--rate', type=float, default=4e-4)
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == 'prepare':
        prepare(args.pictures, args.work, args.chunks, args.first)
    else:
        train(args.work, args.out or args.work, args.minutes, args.rate, args.batch_size, args.packages, args.seed)
