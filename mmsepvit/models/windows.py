"""Windows in PyTorch's plain operators: a map is cut into windows, windows are joined to a map.

Nothing here depends on the values of sizes: no branch asks whether a map has to be padded, so that a trace or an
exported graph which was made at one size is right at every other. For the same reason `merge` copies before it views:
a reshape asks whether strides make the copy needless, and a compiler would bind the graph to the answer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def count_windows(length: int, window_size: int) -> int:
    """Number of windows that a side of a map takes: ceil(length / window_size)."""
    return (length + window_size - 1) // window_size


def merge(x: Tensor, *shape: int) -> Tensor:
    """``x.reshape(shape)`` of a tensor whose dimensions were permuted, always through a copy."""
    return x.clone(memory_format=torch.contiguous_format).view(shape)


def to_windows(x: Tensor, window_size: int) -> Tensor:
    """Cuts a map into square windows, after padding it with zeros at its right and bottom.

    Args:
        x: Map (B, H, W, C).
        window_size: Side M of a window in pixels.

    Returns:
        Windows (B, Nh, Nw, M * M, C) with Nh = ceil(H / M), Nw = ceil(W / M); a window's pixels row by row.
    """
    b, h, w, c = x.shape
    m = window_size
    nh, nw = count_windows(h, m), count_windows(w, m)
    x = F.pad(x, (0, 0, 0, nw * m - w, 0, nh * m - h))  # (B, Nh*M, Nw*M, C)
    x = x.view(b, nh, m, nw, m, c).transpose(2, 3)  # (B, Nh, Nw, M, M, C)
    return merge(x, b, nh, nw, m * m, c)


def to_map(windows: Tensor, window_size: int, size: tuple[int, int]) -> Tensor:
    """Joins windows to a map and cuts off its padding; `to_windows` backwards.

    Args:
        windows: Windows (B, Nh, Nw, M * M, ...).
        window_size: Side M of a window in pixels.
        size: Height and width (H, W) of the map in pixels.

    Returns:
        Map (B, H, W, ...), contiguous.
    """
    m, rest = window_size, windows.shape[4:]
    # Of the map's size, which an exported graph knows already; it would read it off the windows anew.
    nh, nw = count_windows(size[0], m), count_windows(size[1], m)
    x = windows.view(-1, nh, nw, m, m, *rest).transpose(2, 3)  # (B, Nh, M, Nw, M, ...)
    x = merge(x, -1, nh * m, nw * m, *rest)
    return x[:, : size[0], : size[1]].clone(memory_format=torch.contiguous_format)
