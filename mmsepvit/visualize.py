"""Looks inside a model: what a window draws on in PSA, and a window's pixels on each other in DSA.

The weights are computed a second time from what hooks see of the two attentions' layers: the model has fused kernels,
which never hold them, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .models import SepViT
from .models.attention import SeparableAttention


@dataclass(frozen=True)
class BlockAttention:
    """The attention weights of a block for one image, before dropout.

    Attributes:
        name: Name of the block in the backbone, such as 'stages.2.blocks.1'.
        window: Side of a window in pixels of the image: the block's M times the stride of its stage.
        grid: Windows (Nh, Nw) down and across.
        dsa: Weights (N, heads, T, T) inside each of the N = Nh * Nw windows, row by row: of query (third dimension) to
            key (last). T is M * M pixels, row by row, with the window's token before them where the block has PSA.
        psa: Weights (heads, N, N) of each window to each, or None where the block has no PSA.
    """

    name: str
    window: int
    grid: tuple[int, int]
    dsa: Tensor
    psa: Tensor | None

    def window_at(self, point: tuple[float, float]) -> int:
        """Index, row by row, of the window at a point (x, y) in pixels of the image, or of the nearest to it."""
        column, row = (min(max(int(p // self.window), 0), n - 1) for p, n in zip(point, reversed(self.grid)))
        return row * self.grid[1] + column

    def psa_map(self, index: int) -> Tensor | None:
        """Weights (heads, Nh, Nw) with which a window draws on each, or None."""
        return None if self.psa is None else self.psa[:, index].unflatten(-1, self.grid)

    def dsa_map(self, index: int) -> Tensor:
        """Weights (heads, M, M) of a window's pixels, the mean over its queries; the token's share is left out."""
        tokens = 0 if self.psa is None else 1
        received = self.dsa[index].mean(1)[:, tokens:]  # (heads, M*M)
        side = round(received.shape[-1] ** 0.5)
        return received.unflatten(-1, (side, side))


@torch.no_grad()
def window_attention(model: nn.Module, image: Tensor) -> list[BlockAttention]:
    """Computes the attention weights of every block of a SepViT for an image.

    DSA's weights take N * heads * T * T floats a block, about 100 MB in all for Tiny at 512x512.

    Args:
        model: A `SepViT`, or a model that has one, in evaluation mode.
        image: Image (C, H, W) or (1, C, H, W) of any size, normalised as the model wants it, on the model's device.

    Returns:
        One `BlockAttention` a block, from the first stage on, its weights float32 (float64 of a float64 model).

    Raises:
        ValueError: The model has no SepViT or more than one, is in training mode, or it's not one image.
    """
    backbones = [module for module in model.modules() if isinstance(module, SepViT)]
    if len(backbones) != 1:
        raise ValueError(f'{type(model).__name__} has {len(backbones)} SepViT backbones, where one is needed')
    backbone = backbones[0]
    if backbone.training:
        raise ValueError('the model is in training mode, in which branches are dropped at random: call eval() first')
    images = image if image.ndim == 4 else image.unsqueeze(0)
    if images.ndim != 4 or len(images) != 1:
        raise ValueError(f'image has shape {tuple(image.shape)}; one image (C, H, W) is needed')

    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: Any, result: Tensor) -> None:
        seen[module] = result

    blocks = {name: module for name, module in backbone.named_modules() if isinstance(module, SeparableAttention)}
    layers = [attn.dsa_qkv for attn in blocks.values()]
    layers += [attn.psa_qk for attn in blocks.values() if attn.use_psa]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [_weights(name.removesuffix('.attn'), attn, seen.__getitem__) for name, attn in blocks.items()]


def _weights(name: str, attn: SeparableAttention, result_of: Callable[[nn.Module], Tensor]) -> BlockAttention:
    qkv = result_of(attn.dsa_qkv)  # (1, Nh, Nw, T, 3*C)
    _, nh, nw, t, _ = qkv.shape
    q, k, _ = qkv.view(nh * nw, t, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)  # (N, heads, T, d)
    dsa = _softmax(q, k)
    psa = None
    if attn.use_psa:
        qk = result_of(attn.psa_qk)  # (1, N, 2*C)
        q, k = qk.view(nh * nw, 2, attn.num_heads, -1).permute(1, 2, 0, 3).unbind(0)  # (heads, N, d)
        psa = _softmax(q, k)
    stride = 4 * 2 ** int(name.split('.')[1])
    return BlockAttention(name, attn.window_size * stride, (nh, nw), dsa, psa)


def _softmax(q: Tensor, k: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)), of 16-bit floats in float32."""
    if q.dtype in (torch.float16, torch.bfloat16):
        q, k = q.float(), k.float()
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)


def draw_window_attention(
    attention: BlockAttention,
    image: np.ndarray,
    point: tuple[float, float],
    file: Path,
    heads: Sequence[int] | None = None,
) -> None:
    """Draws a block's weights over an image, one row a head: PSA's of the window at a point, and DSA's inside it.

    Args:
        attention: The weights of a block for the image.
        image: The image as it was before it was normalised, uint8 (H, W, 3), red, green and blue.
        point: Point (x, y) in pixels of the image, which chooses the window.
        file: The PNG file to write; its folder is made.
        heads: Heads to draw. Defaults to all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    index, side = attention.window_at(point), attention.window
    (rows, columns), (row, column) = attention.grid, divmod(index, attention.grid[1])
    chosen = (column * side - 0.5, (column + 1) * side - 0.5, (row + 1) * side - 0.5, row * side - 0.5)
    whole = (-0.5, columns * side - 0.5, rows * side - 0.5, -0.5)
    dsa, psa = attention.dsa_map(index), attention.psa_map(index)
    height, width = image.shape[:2]
    heads = range(len(dsa)) if heads is None else heads

    # Of the object-oriented interface, which leaves the caller's pyplot as it is and needs no display.
    figure = Figure(figsize=(9, 0.5 + 4 * len(heads) * min(height / width, 3)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heads), 2, squeeze=False)
    figure.suptitle(f'{attention.name}: {rows}x{columns} windows of {side}x{side} pixels of the image')
    for head, (left, right) in zip(heads, axes):
        for panel in (left, right):
            panel.imshow(image)
            panel.axis('off')
            panel.add_patch(Rectangle((chosen[0], chosen[3]), side, side, fill=False, edgecolor='white', linewidth=1.5))
            panel.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        if psa is None:
            left.set_title(f'head {head}: no PSA')
        else:
            # From the least weight on: PSA's are often near to each other.
            low, high = psa[head].min().item(), psa[head].max().item()
            _overlay(left, psa[head], whole, low)
            left.set_title(f'PSA, head {head}: {low:.3f} to {high:.3f}, evenly {1 / (rows * columns):.3f}')
        _overlay(right, dsa[head], chosen, 0)
        right.set(xlim=(chosen[0] - side / 2, chosen[1] + side / 2), ylim=(chosen[2] + side / 2, chosen[3] - side / 2))
        right.set_title(f'DSA, head {head}: weights up to {dsa[head].max():.3f}')
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format='png', dpi=100)


def _overlay(axes: Any, weights: Tensor, extent: tuple[float, float, float, float], low: float) -> None:
    shown = weights.cpu().double().numpy()
    axes.imshow(shown, extent=extent, vmin=low, alpha=0.6, cmap='inferno', interpolation='nearest')
