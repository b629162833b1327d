"""What a stage and a block are made of besides attention: patch embedding, position encoding, MLP, stochastic depth."""

from __future__ import annotations

from contextlib import nullcontext

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .recompute import recomputed


class OverlapPatchEmbed(nn.Module):
    """Overlapping patch embedding: a strided convolution larger than its stride, then LayerNorm.

    Args:
        in_channels: Channels of the incoming map.
        out_channels: Channels of the tokens.
        kernel_size: Side of a patch in pixels, odd, larger than ``stride``.
        stride: Distance of the patches in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(out_channels, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Embeds a map (B, H, W, C_in) as tokens (B, ceil(H / stride), ceil(W / stride), C_out)."""
        x = self.proj(x.permute(0, 3, 1, 2))  # (B, C_out, H', W')
        return self.norm(x.permute(0, 2, 3, 1))  # (B, H', W', C_out)


class ConditionalPositionEncoding(nn.Module):
    """Conditional position encoding (CPE, arXiv 2102.10882): 3x3 depthwise convolution plus identity.

    Its zero padding at the border is what tells a token where it is, so it fits any map size.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Adds the encoding to a map (B, H, W, C); same shape out."""
        return x + self.proj(x.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1)


class MLP(nn.Module):
    """The MLP branch of a block: LayerNorm, then two linear layers with GELU between them.

    Args:
        channels: Channels C of the map; between the linear layers there are four times as many, as in the paper.
        drop_rate: Dropout rate after either linear layer. Defaults to 0.
        recompute: Whether the backward pass computes GELU's output again instead of keeping it, the largest tensor of a
            block. Pointless where the whole block is recomputed. Defaults to True.
    """

    def __init__(self, channels: int, drop_rate: float = 0.0, recompute: bool = True) -> None:
        super().__init__()
        self.recompute = recompute
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to the same shape."""
        hidden = self.fc1(self.norm(x))  # (B, H, W, 4*C)
        activated = F.gelu(hidden)
        with recomputed(F.gelu, hidden, activated) if self.recompute else nullcontext():
            x = self.fc2(self.drop(activated))  # (B, H, W, C)
        return self.drop(x)


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): in training, drops the residual branch of random images.

    Args:
        rate: Probability with which an image's branch is zeroed; the others are scaled by 1 / (1 - rate).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Branch (B, ...) to the same shape."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)

    def extra_repr(self) -> str:
        return f'rate={self.rate}'
