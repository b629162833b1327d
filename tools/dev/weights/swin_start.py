"""Starts SepViT-Lite from a trained Swin of its widths, against scratch and against distillation that took as long.

    PYTHONPATH=.:tools python -m dev.weights.distill prepare --pictures pictures --work work --chunks 4
    PYTHONPATH=.:tools python -m dev.weights.swin_start train --work work --minutes 15       # needs mmpretrain
    PYTHONPATH=.:tools python -m dev.weights.swin_start compare --work work

`train` distils a Swin and a SepViT-Lite from the same teacher on the same crops for the same time; `compare` turns the
Swin into a SepViT, as `tools/convert_checkpoint.py` does, and fine-tunes on 1,000 labels of Fashion-MNIST.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmsepvit.checkpoints.swin import start_from_swin

from . import distill, fashion
from .export import PREFIX, student
from .stamps import normalize

SWIN = {**fashion.SWIN, 'out_indices': (0, 1, 2, 3), 'img_size': 112}


def swin() -> nn.Module:
    model = MODELS.build(SWIN)
    model.out_channels = model.num_features
    return model


def convert(work: Path) -> Path:
    state = torch.load(work / 'swin' / 'last.pth', map_location='cpu', weights_only=True)['average']
    images = normalize(np.load(sorted(work.glob('*.images.npy'))[0], mmap_mode='r')[:256])
    own = {name: value for name, value in state.items() if name.startswith(PREFIX)}
    return save(start_from_swin(own, images)[1].state_dict(), work / 'from_swin.pth')


def save(state: dict[str, Tensor], file: Path) -> Path:
    torch.save({'state_dict': {PREFIX + name: value for name, value in state.items()}}, file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('train', 'compare'))
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--only', choices=('swin', 'sepvit'), nargs='+', default=('swin', 'sepvit'))
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--rate', type=float, default=5e-4)
    parser.add_argument('--test', type=int, default=5000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    MMLogger.get_instance('weights', log_level='ERROR')
    if args.command == 'train':
        for name in args.only:
            backbone = swin() if name == 'swin' else None
            distill.train(args.work, args.work / name, args.minutes, 4e-4, 32, backbone=backbone)
        return
    starts = {  # from scratch is in the table of few labels
        'from a Swin': convert(args.work),
        'distilled as long': save(student(args.work / 'sepvit' / 'last.pth'), args.work / 'as_long.pth'),
    }
    for seed in args.seeds:
        for arm, file in starts.items():
            start = {'type': 'Pretrained', 'checkpoint': str(file), 'prefix': PREFIX}
            fashion.run('swin', arm, {**fashion.SEPVIT, 'init_cfg': start}, 1000, seed, args.steps, args)


if __name__ == '__main__':
    main()
