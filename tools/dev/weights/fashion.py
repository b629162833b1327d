"""Fashion-MNIST (60,000 product photographs, MIT): what distilled weights are worth, and SepViT-Lite against a Swin.

    apt-get install dataset-fashion-mnist
    PYTHONPATH=.:tools python -m dev.weights.fashion probe --weights work/lite.pth
    PYTHONPATH=.:tools python -m dev.weights.fashion labels --weights work/lite.pth --labels 1000 10000
    PYTHONPATH=.:tools python -m dev.weights.fashion architectures                     # needs mmpretrain, for its Swin

All arms of a row see the same pictures in the same order, with the same recipe and number of steps.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import Tensor, nn

import mmsepvit  # noqa: F401 - registers the scope

from . import results
from .crops import FASHION, read_idx
from .stamps import normalize

SIZE = 56
SEPVIT = {'type': 'mmsepvit.SepViT', 'arch': 'lite', 'window_token': 'zero'}
# The Swin of Lite's widths; depths as Swin-T has them.
SWIN = {
    'type': 'mmpretrain.SwinTransformer',
    'arch': {'embed_dims': 32, 'depths': [2, 2, 6, 2], 'num_heads': [1, 2, 4, 8]},
    'img_size': SIZE,
    'pad_small_map': True,
    'drop_path_rate': 0.0,
}


class Classifier(nn.Module):
    def __init__(self, backbone: dict, channels: int = 256) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.fc = nn.Linear(channels, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.backbone(images)[-1].mean(dim=(2, 3)))


def load(split: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """So many pictures (N, 3, 56, 56), uint8, and their classes, as many of each class."""
    images = read_idx(FASHION / f'{split}-images-idx3-ubyte.gz')
    labels = read_idx(FASHION / f'{split}-labels-idx1-ubyte.gz')
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[: count // 10] for c in range(10)])
    grey = torch.from_numpy(images[rows].copy())[:, None].float()
    large = F.interpolate(grey, size=(SIZE, SIZE), mode='bicubic', align_corners=False)
    return large.clamp(0, 255).byte().expand(-1, 3, -1, -1), torch.from_numpy(labels[rows].astype(np.int64))


def augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored or not, moved by up to four pixels."""
    if rng.random() < 0.5:
        images = images.flip(-1)
    top, left = rng.integers(0, 9, 2)
    return F.pad(images, (4, 4, 4, 4))[..., top : top + SIZE, left : left + SIZE]


def train(model: Classifier, images: Tensor, labels: Tensor, steps: int, batch: int, rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.05)
    order = np.concatenate([rng.permutation(len(images)) for _ in range(-(-steps * batch // len(images)))])
    model.train()
    for step in range(steps):
        rows = order[step * batch : (step + 1) * batch]
        warmup, share = min(1.0, (step + 1) / (0.1 * steps)), step / steps
        for group in optimizer.param_groups:
            group['lr'] = rate * warmup * 0.5 * (1 + math.cos(math.pi * share))
        loss = F.cross_entropy(model(normalize(augmented(images[rows], rng))), labels[rows], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def accuracy(model: Classifier, images: Tensor, labels: Tensor) -> float:
    model.eval()
    right = sum((model(normalize(x)).argmax(1) == y).sum() for x, y in zip(images.split(100), labels.split(100)))
    return round(float(right) / len(labels), 4)


def run(table: str, arm: str, backbone: dict, labels: int, seed: int, steps: int, args: argparse.Namespace) -> None:
    key = {'table': table, 'arm': arm, 'labels': labels, 'seed': seed, 'steps': steps, 'batch': args.batch}
    key.update(rate=args.rate, test=args.test)
    if results.is_there(key):
        return
    torch.manual_seed(seed)
    model = Classifier(backbone)
    model.backbone.init_weights()
    begin = time.process_time()
    train(model, *load('train', labels, seed), steps, args.batch, args.rate, seed)
    seconds = round(time.process_time() - begin)
    results.add(key, accuracy=accuracy(model, *load('t10k', args.test, 0)), seconds=seconds)


@torch.no_grad()
def probe(arm: str, backbone: dict, labels: int, seed: int, test: int) -> None:
    """5-NN by cosine on the frozen backbone's last map, averaged; nothing is trained."""
    key = {'table': 'probe', 'arm': arm, 'labels': labels, 'seed': seed, 'test': test}
    if results.is_there(key):
        return
    torch.manual_seed(seed)
    model = MODELS.build(backbone).eval()
    model.init_weights()

    def features(images: Tensor) -> Tensor:
        pooled = [model(normalize(part))[-1].mean(dim=(2, 3)) for part in images.split(100)]
        return F.normalize(torch.cat(pooled), dim=1)

    images, classes = load('train', labels, seed)
    others, wanted = load('t10k', test, 0)
    nearest = (features(others) @ features(images).T).topk(5, dim=1).indices
    votes = F.one_hot(classes[nearest], 10).sum(1) * 10
    votes[torch.arange(len(votes)), classes[nearest[:, 0]]] += 1  # a tie goes to the nearest
    results.add(key, accuracy=round(float((votes.argmax(1) == wanted).float().mean()), 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('probe', 'labels', 'architectures'))
    parser.add_argument('--weights', help='checkpoint of a distillation')
    parser.add_argument('--labels', type=int, nargs='+', default=[1000])
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--rate', type=float, default=5e-4)
    parser.add_argument('--test', type=int, default=10000, help='pictures to test on')
    args = parser.parse_args()
    if not FASHION.is_dir():
        sys.exit(f'{FASHION} is not there: apt-get install dataset-fashion-mnist')
    torch.set_num_threads(1)
    MMLogger.get_instance('weights', log_level='ERROR')  # else mmengine tells of every parameter
    if args.command != 'architectures':
        arms = {'scratch': SEPVIT}
        if args.weights:
            start = {'type': 'Pretrained', 'checkpoint': args.weights, 'prefix': 'backbone.'}
            arms['distilled'] = {**SEPVIT, 'init_cfg': start}
    else:
        arms = {'SepViT-Lite': SEPVIT, 'Swin-32': SWIN}
    for labels in args.labels:
        for seed in args.seeds:
            for arm, backbone in arms.items():
                if args.command == 'probe':
                    probe(arm, backbone, labels, seed, args.test)
                else:
                    run(args.command, arm, backbone, labels, seed, args.steps, args)


if __name__ == '__main__':
    main()
