"""Writes the student of a distillation as the package carries it: safetensors, half precision.

PYTHONPATH=.:tools python -m dev.weights.export work/step_1000.pth mmsepvit/weights/sepvit_lite_distilled.safetensors
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import torch

from mmsepvit import SepViT
from mmsepvit.checkpoints.write import encode_weights, write_whole

PREFIX = 'backbone.'
# Blocks had their norms beside their branches once, and have them inside now.
RENAMED = ((r'\.norm1\.', '.attn.norm.'), (r'\.norm2\.', '.mlp.norm.'))


def student(path: Path) -> dict[str, torch.Tensor]:
    """The backbone's parameters, under the names that this version of the package has."""
    state = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
    own = SepViT('lite').state_dict()
    found = {}
    for name, value in state.items():
        if not name.startswith(PREFIX):
            continue
        name = name[len(PREFIX) :]
        if name not in own:
            for old, new in RENAMED:
                name = re.sub(old, new, name)
        found[name] = value
    SepViT('lite').load_state_dict(found)  # strict: all of the dense model, and nothing else
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
