"""What a backbone knows of objects that it never saw: leave-one-out 5-NN on the stamps of Tux Paint.

    apt-get download tuxpaint-stamps-default
    dpkg-deb -x tuxpaint-stamps-default*.deb packages/tuxpaint-stamps-default

The stamps are under the GPL: they test, and nothing that is published learns from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

FOLDERS = (
    'animals/mammals',
    'animals/birds',
    'animals/fish',
    'animals/insects',
    'food/fruit',
    'food/vegetables',
    'plants/flowers',
    'plants/trees',
    'household/tools',
    'hobbies/music',
)
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def normalize(images: np.ndarray | Tensor) -> Tensor:
    """RGB pictures (B, H, W, 3) or (B, 3, H, W), uint8 -> (B, 3, H, W), normalised as this project's configs do."""
    images = torch.as_tensor(images)
    if images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    return (images.float() - MEAN) / STD


def load_stamps(packages: Path, size: int = 112) -> tuple[Tensor, np.ndarray]:
    """The stamps on white, whole, and the number of their folder; drawings (folders named cartoon) are left out."""
    root = packages / 'tuxpaint-stamps-default/usr/share/tuxpaint/stamps'
    images, labels = [], []
    for label, folder in enumerate(FOLDERS):
        for path in sorted((root / folder).rglob('*.png')):
            stamp = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if 'cartoon' in path.parts or stamp is None or stamp.ndim != 3 or stamp.shape[2] != 4:
                continue
            alpha = stamp[..., 3:].astype(np.float32) / 255
            picture = (alpha * stamp[..., 2::-1] + (1 - alpha) * 255).astype(np.uint8)
            side = max(picture.shape[:2])
            square = np.full((side, side, 3), 255, np.uint8)
            top, left = (side - picture.shape[0]) // 2, (side - picture.shape[1]) // 2
            square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
            images.append(cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA))
            labels.append(label)
    return normalize(np.stack(images)), np.array(labels)


@torch.no_grad()
def embed(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([function(batch) for batch in images.split(32)])


def leave_one_out(features: Tensor, labels: np.ndarray, neighbours: int = 5) -> float:
    """Share of stamps whose nearest others, by cosine, vote for their folder; ties go to the nearest."""
    features = torch.nn.functional.normalize(features.float(), dim=1)
    similarity = features @ features.T
    similarity.fill_diagonal_(-2)
    nearest = similarity.topk(neighbours, dim=1).indices.numpy()
    votes = [Counter(labels[row]).most_common(1)[0][0] for row in nearest]
    return float(np.mean(np.array(votes) == labels))
