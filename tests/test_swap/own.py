"""Modules of a user's own, which no registry knows: configs name them by class, or by path."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn


class Pyramid(BaseModule):
    """A backbone of three maps, of strides 8, 16 and 32."""

    def __init__(self, width: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 8, 8)
        self.deeper = nn.ModuleList(nn.Conv2d(width * 2**i, width * 2 ** (i + 1), 2, 2) for i in range(2))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = [self.stem(images)]
        for layer in self.deeper:
            maps.append(layer(maps[-1]))
        return tuple(maps)


class UNet(Pyramid):
    """It has the name of an mmseg backbone that is refused, and nothing else of it."""
