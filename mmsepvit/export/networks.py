"""What of a model is exported: the feature maps of its backbone, or the output of the whole network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""A file, opened: images (B, C, H, W) in float32 to the network's outputs."""


class Features(nn.Module):
    """The backbone of a model.

    Args:
        model: A segmentor, detector or classifier.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone = model.backbone

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return [f'feature{i}' for i in self.backbone.out_indices]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (B, C, H, W) to a map (B, C_i, H_i, W_i) for each of the backbone's ``out_indices``."""
        return tuple(self.backbone(images))

    def replace(self, run: Run) -> None:
        """Has the model compute with an exported file from now on in place of its backbone."""
        self.backbone.forward = lambda images: tuple(_run(run, images))


class Logits(nn.Module):
    """A classifier or segmentor whole, as ``model(images, mode='tensor')`` computes it.

    Args:
        model: The model.
    """

    outputs = ('logits',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Normalised images (B, C, H, W) to logits: (B, classes), of a segmentor (B, classes, H / 4, W / 4)."""
        return (self.model(images, mode='tensor'),)

    def replace(self, run: Run) -> None:
        """Has the model compute with an exported file from now on in place of its layers."""
        model = self.model
        head = model.decode_head if hasattr(model, 'decode_head') else model.head
        model.extract_feat = lambda images, *args, **options: images
        head.forward = lambda images: _run(run, images)[0]


def one_by_one(run: Run) -> Run:
    """The same for a file that takes one image at a time."""

    def run_each(images: np.ndarray) -> list[np.ndarray]:
        outs = zip(*(run(image[None]) for image in images))
        return [np.concatenate([np.array(out) for out in parts]) for parts in outs]

    return run_each


def _run(run: Run, images: Tensor) -> list[Tensor]:
    return [torch.from_numpy(out).to(images.device) for out in run(images.float().cpu().numpy())]
