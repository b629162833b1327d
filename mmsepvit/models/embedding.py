"""What gives a stage its tokens and their position: patch embedding and conditional position encoding."""

from __future__ import annotations

from torch import Tensor, nn


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
        return x + self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
