"""What gives a stage its tokens and their position: patch embedding and conditional position encoding."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from .compiling import is_eager_on_cpu


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
        x = x.permute(0, 3, 1, 2)  # (B, C_in, H, W)
        if is_eager_on_cpu(x) and x.numel() < self.proj.weight.numel():
            # With channels last, PyTorch brings the weights into that order at each call: better a copy of a small map.
            x = x.contiguous()
        x = self.proj(x)  # (B, C_out, H', W')
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
        pixels = x.permute(0, 3, 1, 2)  # (B, C, H, W)
        if is_eager_on_cpu(pixels):
            encoding = _Depthwise.apply(pixels, self.proj.weight, self.proj.bias)
        else:
            encoding = self.proj(pixels)
        return x + encoding.permute(0, 2, 3, 1)


class _Depthwise(Function):
    """A 3x3 depthwise convolution whose input gets its gradient from a depthwise convolution too.

    That is the same sum, with the kernel turned by 180 degrees. oneDNN's own takes 24 to 190 times as long on maps
    with channels last (torch 2.1 on a CPU), in all a tenth of a training step.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = F.conv2d(x, weight, bias, padding=1, groups=weight.shape[0])
        ctx.save_for_backward(x.to(y.dtype), weight)  # what autocast would keep
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        weight, channels = weight.to(grad.dtype), weight.shape[0]
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(grad, weight.flip(2, 3), padding=1, groups=channels)
        geometry = (1, 1), (1, 1), (1, 1), False, (0, 0), channels  # stride, padding, dilation, transposed, groups
        wanted = (False, *ctx.needs_input_grad[1:])
        _, *grads = torch.ops.aten.convolution_backward(grad, x, weight, (channels,), *geometry, wanted)
        return grad_x, *grads
