"""Windows: from a map to its windows with their tokens, to the heads of PSA, and back, with one copy each.

The functions here move numbers and multiply none. With PyTorch's own operators, padding, cutting into windows and
putting the token in front are three copies, and more in the backward pass; here each function fills one buffer. A
compiler fuses those operators itself and cannot see through a buffer, so it gets them: they are what the functions mean.

Map to windows and windows to map are each other's transpose as linear functions, and so each is the other's gradient.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from .compiling import is_compiling


def to_windows(x: Tensor, token: Tensor | None, window_size: int) -> Tensor:
    """Cuts a map into square windows, with zeros where the windows at its right and bottom stand out.

    Args:
        x: Map (B, H, W, C).
        token: Window tokens (Nh, Nw, C) or one for all (1, 1, C), which go in front of the pixels; None for no token.
        window_size: Side M of a window in pixels.

    Returns:
        Windows (B, Nh, Nw, T, C), Nh = ceil(H / M), Nw = ceil(W / M), T = M * M pixels row by row, after the token
        where there is one.
    """
    if not is_compiling():
        return _ToWindows.apply(x, token, window_size)
    b, height, width, c = x.shape
    m = window_size
    x = F.pad(x, (0, 0, 0, -width % m, 0, -height % m))  # (B, Nh*M, Nw*M, C)
    x = x.unflatten(2, (-1, m)).unflatten(1, (-1, m)).transpose(2, 3).flatten(3, 4)  # (B, Nh, Nw, M*M, C)
    if token is None:
        return x
    return torch.cat([token.unsqueeze(2).expand(b, *x.shape[1:3], 1, c), x], dim=3)


def to_map(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Puts windows (B, Nh, Nw, M, M, ...), of any memory layout, together to a map (B, *size, ...), contiguous."""
    if not is_compiling():
        return _ToMap.apply(windows, *size)
    x = windows.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (B, Nh*M, Nw*M, ...)
    return x[:, : size[0], : size[1]].contiguous()


def add_and_split(attended: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of windows of two layouts, as tokens and as one matrix a head: what PSA weighs.

    Args:
        attended: What attention returns, (B * N, heads, 1 + P, d).
        x: Windows (B, N, 1 + P, heads * d), the token before its P pixels.

    Returns:
        Tokens (B, N, heads * d) and pixels (B, heads, N, P * d), contiguous.
    """
    if not is_compiling():
        return _AddAndSplit.apply(attended, x)
    heads, d = attended.shape[1], attended.shape[3]
    z = attended.transpose(1, 2).reshape(x.shape) + x
    maps = z[:, :, 1:].unflatten(3, (heads, d)).permute(0, 3, 1, 2, 4)  # (B, heads, N, P, d)
    return z[:, :, 0], maps.flatten(3)


def _grid(size: tuple[int, int], window_size: int) -> tuple[int, int]:
    return -(-size[0] // window_size), -(-size[1] // window_size)


def _cuts(length: int, m: int) -> Iterator[tuple[int, int, int]]:
    """Whole windows, then what is left of one: (first window, number of windows, pixels of each)."""
    whole, rest = divmod(length, m)
    if whole:
        yield 0, whole, m
    if rest:
        yield whole, 1, rest


def _pieces(x: Tensor, windows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The same pixels in a map (B, H, W, ...) and in its windows (B, Nh, Nw, M, M, ...): views that cover the map."""
    m = windows.shape[3]
    for i, rows, height in _cuts(x.shape[1], m):
        for j, columns, width in _cuts(x.shape[2], m):
            piece = x[:, i * m : i * m + rows * height, j * m : j * m + columns * width]
            piece = piece.unflatten(2, (columns, width)).unflatten(1, (rows, height))  # (B, nh, mh, nw, mw, ...)
            yield piece.transpose(2, 3), windows[:, i : i + rows, j : j + columns, :height, :width]


def _fill_windows(windows: Tensor, x: Tensor) -> None:
    """Writes a map (B, H, W, ...) and the zeros around it into its windows (B, Nh, Nw, M, M, ...)."""
    m = windows.shape[3]
    if x.shape[1] % m:
        windows[:, -1].zero_()
    if x.shape[2] % m:
        windows[:, :, -1].zero_()
    for pixels, cells in _pieces(x, windows):
        cells.copy_(pixels)


class _ToWindows(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, token: Tensor | None, m: int) -> Tensor:
        b, height, width, c = x.shape
        ctx.size = height, width
        ctx.window_size = m
        ctx.token_grid = None if token is None else token.shape[:2]
        windows = x.new_empty(b, -(-height // m), -(-width // m), m * m + (token is not None), c)  # (B, Nh, Nw, T, C)
        if token is not None:
            windows[:, :, :, 0] = token
        _fill_windows(windows[:, :, :, -m * m :].unflatten(3, (m, m)), x)
        return windows

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        m = ctx.window_size
        grad_token = None
        if ctx.needs_input_grad[1]:
            grad_token = grad[:, :, :, 0].sum(0).sum_to_size(*ctx.token_grid, grad.shape[-1])  # (Nh or 1, Nw or 1, C)
        return to_map(grad[:, :, :, -m * m :].unflatten(3, (m, m)), ctx.size), grad_token, None


class _ToMap(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, windows: Tensor, height: int, width: int) -> Tensor:
        ctx.layout = windows.shape, windows.stride()
        x = windows.new_empty(windows.shape[0], height, width, *windows.shape[5:])
        for pixels, cells in _pieces(x, windows):
            pixels.copy_(cells)
        return x

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return _FromMap.apply(grad, *ctx.layout), None, None


class _FromMap(Function):
    """The gradient of `_ToMap`, in the layout of its input, so that the product before it need not copy it again."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        ctx.size = x.shape[1:3]
        windows = x.new_empty_strided(shape, stride)
        _fill_windows(windows, x)
        return windows

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return to_map(grad, ctx.size), None, None


class _AddAndSplit(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, attended: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        b, n, t, c = x.shape
        _, heads, _, d = ctx.shape = attended.shape
        attended = attended.transpose(1, 2).view(b, n, t, heads, d)
        x = x.view(b, n, t, heads, d)
        token = attended[:, :, 0] + x[:, :, 0]  # (B, N, heads, d)
        maps = x.new_empty(b, heads, n, t - 1, d)
        # (B, N, P, heads, d) into the layout (B, heads, N, P, d) in the pass that adds
        torch.add(attended[:, :, 1:], x[:, :, 1:], out=maps.permute(0, 2, 3, 1, 4))
        return token.view(b, n, c), maps.view(b, heads, n, (t - 1) * d)

    @staticmethod
    def backward(ctx: FunctionCtx, grad_token: Tensor, grad_maps: Tensor) -> tuple[Tensor, Tensor]:
        b, n, c = grad_token.shape
        _, heads, t, d = ctx.shape
        grad_token = grad_token.view(b, n, 1, heads, d)
        grad_maps = grad_maps.view(b, heads, n, t - 1, d).permute(0, 2, 3, 1, 4)  # (B, N, P, heads, d)
        grad = torch.cat([grad_token, grad_maps], dim=2)  # (B, N, 1 + P, heads, d)
        return grad.view(b * n, t, heads, d).transpose(1, 2), grad.view(b, n, t, c)
