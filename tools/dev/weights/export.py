"""Writes the student of a distillation as the package carries it: safetensors, half precision.

PYTHONPATH=.:tools python -m dev.weights.export work/last.pth mmsepvit/weights/sepvit_lite_distilled.safetensors
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Container
from pathlib import Path

import torch

from mmsepvit import SepViT
from mmsepvit.checkpoints.write import encode_weights, write_whole

PREFIX = 'backbone.'
# Blocks had their norms beside their branches once, and have them inside now.
RENAMED = ((r'\.norm1\.', '.attn.norm.'), (r'\.norm2\.', '.mlp.norm.'))


def current_name(name: str, known: Container[str]) -> str:
    """A parameter's name in this version of the package."""
    if name not in known:
        for old, new in RENAMED:
            name = re.sub(old, new, name)
    return name


def student(path: Path) -> dict[str, torch.Tensor]:
    """The averaged backbone of a ``last.pth``, under the names that this version of the package has."""
    state = torch.load(path, map_location='cpu', weights_only=True)['average']
    model = SepViT('lite')
    found = {name[len(PREFIX) :]: value for name, value in state.items() if name.startswith(PREFIX)}
    found = {current_name(name, model.state_dict()): value for name, value in found.items()}
    model.load_state_dict(found)  # strict: all of the dense model, and nothing else
    return found


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('out', type=Path)
    args = parser.parse_args()
    half = {PREFIX + name: value.half() for name, value in student(args.checkpoint).items()}
    if not all(torch.isfinite(value).all() for value in half.values()):
        sys.exit('some parameters are not finite in half precision')
    meta = {'arch': 'lite', 'made': 'distilled without labels, see the card beside it', 'licence': 'CC-BY-SA-4.0'}
    write_whole(encode_weights(half, meta, '.safetensors'), args.out)
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB')
