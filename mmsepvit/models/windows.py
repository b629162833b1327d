"""Windows: from maps to windows with tokens, from these to the heads of PSA, and back to maps, with one copy each.

The functions here move numbers and multiply none. With PyTorch's own operators, padding, cutting into windows and
putting the token in front are three copies, and more in the backward pass; here each function fills one buffer. A
compiler fuses those operators by itself and cannot see through a buffer, so it gets them: they say what is meant.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

from .compiling import is_compiling


def to_windows(x: Tensor, rows: Tensor, tokens: int, window_size: int) -> Tensor:
    """Cuts maps into square windows, with one same row of channels where the windows stand out at right and bottom.

    Args:
        x: Maps (B, H, W, K).
        rows: Tokens, and the row that pads: (n + 1, K), n being 0, 1 or Nh * Nw. One token serves all windows; without
            any, the row that pads does.
        tokens: Rows that go in front of a window's pixels, 1 or 0.
        window_size: Side M of a window in pixels.

    Returns:
        Windows (B, Nh, Nw, tokens + M * M, K), Nh = ceil(H / M), Nw = ceil(W / M), the pixels row by row.
    """
    if not is_compiling():
        return _ToWindows.apply(x, rows, tokens, window_size)
    (b, height, width, k), m = x.shape, window_size
    nh, nw = count_windows(height, m), count_windows(width, m)
    token, padding = _token_of(rows, nh, nw), rows[-1]
    # One pixel more of padding than there can be, then cut: how much there is, or if any, shall not make another graph.
    x = torch.cat([x, padding.expand(b, height, m, k)], dim=2)[:, :, : nw * m]  # (B, H, Nw*M, K)
    x = torch.cat([x, padding.expand(b, m, nw * m, k)], dim=1)[:, : nh * m]  # (B, Nh*M, Nw*M, K)
    # The clones are fused away; without them, `view` asks if what was cut is contiguous: a graph for each answer.
    x = x.clone(memory_format=torch.contiguous_format).view(b, nh, m, nw, m, k).transpose(2, 3)
    x = x.clone(memory_format=torch.contiguous_format).view(b, nh, nw, m * m, k)
    return torch.cat([token.unsqueeze(2).expand(b, nh, nw, 1, k), x], dim=3) if tokens else x


def to_map(windows: Tensor, size: tuple[int, int]) -> Tensor:
    """Puts windows (B, Nh, Nw, M, M, ...), of any memory layout, together to maps (B, *size, ...), contiguous."""
    if not is_compiling():
        return _ToMap.apply(windows, *size)
    b, nh, nw, m, _, *rest = windows.shape
    x = windows.transpose(2, 3).clone(memory_format=torch.contiguous_format).view(b, nh * m, nw * m, *rest)
    # A column and a row more, so that something is cut off at every size; see `to_windows`.
    x = torch.cat([x, x[:, :, :1]], dim=2)[:, :, : size[1]]
    x = torch.cat([x, x[:, :1]], dim=1)[:, : size[0]]
    return x.clone(memory_format=torch.contiguous_format)


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


def count_windows(length: int, m: int) -> int:
    """Windows that a side of a map takes: a compiler that solves for sizes knows this form of ceil(length / m) best."""
    return (length + m - 1) // m


def _token_of(rows: Tensor, nh: int, nw: int) -> Tensor:
    """A view of the tokens among what `to_windows` takes: (Nh or 1, Nw or 1, K)."""
    n = max(rows.shape[0] - 1, 1)
    return rows[:n].view(*((1, 1) if n == 1 else (nh, nw)), -1)


def _cuts(length: int, m: int) -> Iterator[tuple[int, int, int]]:
    """Whole windows, then what is left of one: (first window, number of windows, pixels of each)."""
    whole, rest = divmod(length, m)
    if whole:
        yield 0, whole, m
    if rest:
        yield whole, 1, rest


def _pieces(x: Tensor, cells: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The same pixels in maps (B, H, W, ...) and in windows (B, Nh, Nw, M, M, ...): views that cover the maps."""
    m = cells.shape[3]
    for i, rows, height in _cuts(x.shape[1], m):
        for j, columns, width in _cuts(x.shape[2], m):
            pixels = x[:, i * m : i * m + rows * height, j * m : j * m + columns * width]
            pixels = pixels.view(x.shape[0], rows, height, columns, width, *x.shape[3:])  # (B, nh, mh, nw, mw, ...)
            yield pixels.transpose(2, 3), cells[:, i : i + rows, j : j + columns, :height, :width]


def _edges(size: tuple[int, int], cells: Tensor) -> list[Tensor]:
    """What of windows (B, Nh, Nw, M, M, ...) stands out of maps of this size: below, and at the right of the rest."""
    m = cells.shape[3]
    height, width = ((length - 1) % m + 1 for length in size)  # of the last window's pixels that are the map's
    edges = [cells[:, -1, :, height:], cells[:, :-1, -1, :, width:], cells[:, -1, -1, :height, width:]]
    return [edge for edge in edges if edge.numel()]


class _ToWindows(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, rows: Tensor, tokens: int, m: int) -> Tensor:
        ctx.shapes, ctx.tokens, ctx.window_size = (x.shape, rows.shape), tokens, m
        b, height, width, k = x.shape
        nh, nw = count_windows(height, m), count_windows(width, m)
        windows = x.new_empty(b, nh, nw, tokens + m * m, k)
        if tokens:
            windows[:, :, :, 0] = _token_of(rows, nh, nw)
        cells = windows[:, :, :, tokens:].unflatten(3, (m, m))
        for edge in _edges((height, width), cells):
            edge.copy_(rows[-1])
        for pixels, piece in _pieces(x, cells):
            piece.copy_(pixels)
        return windows

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (shape, rows_shape), tokens, m = ctx.shapes, ctx.tokens, ctx.window_size
        cells = grad[:, :, :, tokens:].unflatten(3, (m, m))
        grad_rows = None
        if ctx.needs_input_grad[1]:
            grad_rows = grad.new_zeros(rows_shape)  # token and padding may be the same row
            if tokens:
                token = _token_of(grad_rows, *grad.shape[1:3])
                token += grad[:, :, :, 0].sum(0).sum_to_size(token.shape)
            for edge in _edges(shape[1:3], cells):
                grad_rows[-1] += edge.flatten(0, -2).sum(0)
        grad_x = grad.new_empty(shape)
        for pixels, piece in _pieces(grad_x, cells):
            pixels.copy_(piece)
        return grad_x, grad_rows, None, None


class _ToMap(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, windows: Tensor, height: int, width: int) -> Tensor:
        ctx.layout = windows.shape, windows.stride()
        x = windows.new_empty(windows.shape[0], height, width, *windows.shape[5:])
        for pixels, piece in _pieces(x, windows):
            pixels.copy_(piece)
        return x

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        windows = grad.new_empty_strided(*ctx.layout)  # the layout that came: the product before it need not copy again
        for edge in _edges(grad.shape[1:3], windows):
            edge.zero_()
        for pixels, piece in _pieces(grad, windows):
            piece.copy_(pixels)
        return windows, None, None


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
