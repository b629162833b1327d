"""``--cfg-options compile=True``: the backbone compiled, and nothing around it."""

from __future__ import annotations

from types import MethodType

import torch
from torch import Tensor, nn

from ..models import SepViT


def compile_backbones(model: nn.Module, training: bool, **options: object) -> int:
    """Compiles the forward pass of every SepViT in a model, and with it the backward pass.

    mmengine compiles the whole step of training, and so mixup, the drawing of samples, the logging of losses and the
    optimizer: for minutes, in dozens of graphs, some of which depend on the values of a batch, and one that torch 2.11
    cannot compile (``x[torch.randperm(n)]``). The backbone is one graph, and most of the arithmetic.

    Args:
        model: A model that holds SepViT somewhere.
        training: Whether it is compiled for training, or for testing. In the other mode it runs as it is: images of
            a validation have sizes of their own, each of which would be compiled.
        **options: Those of ``torch.compile``. ``dynamic`` defaults to False, a graph for each size of the images up to
            torch's limit of eight, after which it runs as it is: Inductor needs many minutes to solve for the sizes
            of the backward pass, and torch 2.11's fails at it unless told ``options.layout_optimization=False``.

    Returns:
        Number of backbones.
    """
    compiled = torch.compile(SepViT.forward, **{'dynamic': False, **options})

    def forward(self: SepViT, images: Tensor) -> tuple[Tensor, ...]:
        return (compiled if self.training == training else SepViT.forward)(self, images)

    backbones = [module for module in model.modules() if isinstance(module, SepViT)]
    for backbone in backbones:
        backbone.forward = MethodType(forward, backbone)  # type: ignore[method-assign] # bound, so that a copy (of EMA, say) gets its own
    return len(backbones)
