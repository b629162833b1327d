"""Leave-one-out 5-NN on stamps: the distilled student, an untrained one, the teacher, and pixels.

PYTHONPATH=.:tools python -m dev.weights.knn --packages packages --weights work/lite.pth
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from mmsepvit import SepViT

from . import results
from .stamps import embed, leave_one_out, load_stamps
from .teacher import EfficientNetLite0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--packages', type=Path, required=True)
    parser.add_argument('--weights', help='checkpoint of a distillation, or safetensors of the package')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='of the untrained student')
    args = parser.parse_args()
    torch.set_num_threads(1)
    images, labels = load_stamps(args.packages)
    majority = Counter(labels.tolist()).most_common(1)[0][1] / len(labels)

    def add(arm: str, seed: int, accuracy: Callable[[], float]) -> None:
        key = {'table': 'knn', 'arm': arm, 'seed': seed}
        if not results.is_there(key):
            results.add(key, accuracy=round(accuracy(), 4))

    def nearest(features: torch.Tensor) -> float:
        return leave_one_out(features, labels)

    def untrained(seed: int) -> float:
        torch.manual_seed(seed)
        return pooled(SepViT('lite'))

    def distilled() -> float:
        student = SepViT('lite', init_cfg={'type': 'Pretrained', 'checkpoint': args.weights, 'prefix': 'backbone.'})
        student.init_weights()
        return pooled(student)

    def pooled(backbone: SepViT) -> float:
        backbone.eval()
        return nearest(embed(lambda x: backbone(x)[-1].mean(dim=(2, 3)), images))

    def teacher() -> float:
        model = EfficientNetLite0().eval()
        return nearest(embed(lambda x: model.backbone(x)[-1], images))

    add('the largest class', 0, lambda: majority)
    add('pixels', 0, lambda: nearest(images.flatten(1)))
    for seed in args.seeds:
        add('untrained SepViT-Lite', seed, partial(untrained, seed))
    if args.weights:
        add('distilled SepViT-Lite', 0, distilled)
    add('its teacher', 0, teacher)


if __name__ == '__main__':
    main()
