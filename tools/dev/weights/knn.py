"""Leave-one-out 5-NN on stamps: the distilled student, an untrained one, the teacher, and pixels.

PYTHONPATH=.:tools python -m dev.weights.knn --packages packages --weights work/lite.pth
"""

from __future__ import annotations

import argparse
from collections import Counter
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

    def add(arm: str, seed: int, accuracy: float) -> None:
        key = {'table': 'knn', 'arm': arm, 'seed': seed}
        if not results.is_there(key):
            results.add(key, accuracy=round(accuracy, 4))

    def add_nearest(arm: str, seed: int, features: torch.Tensor) -> None:
        add(arm, seed, leave_one_out(features, labels))

    def pooled(backbone: SepViT) -> torch.Tensor:
        return embed(lambda x: backbone(x)[-1].mean(dim=(2, 3)), images)

    add('the largest class', 0, majority)
    add_nearest('pixels', 0, images.flatten(1))
    for seed in args.seeds:
        torch.manual_seed(seed)
        add_nearest('untrained SepViT-Lite', seed, pooled(SepViT('lite').eval()))
    if args.weights:
        start = {'type': 'Pretrained', 'checkpoint': args.weights, 'prefix': 'backbone.'}
        student = SepViT('lite', init_cfg=start).eval()
        student.init_weights()
        add_nearest('distilled SepViT-Lite', 0, pooled(student))
    teacher = EfficientNetLite0().eval()
    add_nearest('its teacher', 0, embed(lambda x: teacher.backbone(x)[-1], images))


if __name__ == '__main__':
    main()
