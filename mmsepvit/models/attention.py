"""Separable self-attention: attention inside windows (DSA), then among them (PSA).

The names follow arXiv 2203.15380v4: depthwise self-attention (DSA; DWA in v2 and v3) works inside each window, as a
depthwise convolution works inside each channel; pointwise self-attention (PSA; PWA) mixes the windows, as a pointwise
convolution mixes channels. With windows of 7 pixels this is the paper's DSSA, with larger ones its GSA.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .windows import count_windows, merge, to_map, to_windows

# The CPU kernel of torch 2.1 writes beyond its buffers in the backward pass in bfloat16 with several threads and some
# lengths, 197 among them (pytorch/pytorch#132871); that of 2.11 does not.
_BROKEN_BF16 = torch.__version__.startswith(('2.0.', '2.1.', '2.2.'))


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float, drop_rate: float = 0.0) -> Tensor:
    """Scaled dot-product attention, softmax(Q K^T * scale) V.

    Args:
        q: Queries (B, heads, T, d).
        k: Keys, as the queries.
        v: Values, as the queries.
        scale: 1 / sqrt(d); a number, so that an exported file need not compute it.
        drop_rate: Dropout rate of the attention weights. Defaults to 0.

    Returns:
        Tensor (B, heads, T, d).
    """
    if torch.onnx.is_in_onnx_export():  # which has no fused kernel below opset 14, and four more nodes for it above
        weight = (q * scale @ k.transpose(-1, -2)).softmax(dim=-1)
        return F.dropout(weight, drop_rate, training=drop_rate > 0) @ v
    if _BROKEN_BF16 and q.dtype == torch.bfloat16 and q.device.type == 'cpu' and torch.is_grad_enabled():
        with torch.autocast('cpu', enabled=False):
            z = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), dropout_p=drop_rate, scale=scale)
        return z.to(v.dtype)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=drop_rate, scale=scale)


def _is_exported() -> bool:
    return torch.jit.is_tracing() or (hasattr(torch.compiler, 'is_exporting') and torch.compiler.is_exporting())


def resize_window_token(token: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resizes a grid of window tokens (Nh, Nw, C) bicubically to (*grid, C)."""
    # What is exported at the trained size has to resize too, or it would be wrong at other sizes.
    if not _is_exported() and tuple(token.shape[:2]) == grid:
        return token
    # 16-bit floats have no bicubic kernel on CPU, and a resized token should not lose digits.
    image = token if token.dtype == torch.float64 else token.float()
    image = image.permute(2, 0, 1).unsqueeze(0)  # (1, C, Nh, Nw)
    image = F.interpolate(image, size=grid, mode='bicubic', align_corners=False)  # (1, C, Nh', Nw')
    return image[0].permute(1, 2, 0).to(token.dtype)  # (Nh', Nw', C)


class SeparableAttention(nn.Module):
    r"""The attention branch of a block: LayerNorm, DSA, PSA and the output projection.

    With :math:`x` a window of :math:`M^2` pixels after its window token, both normalised, a head of the block is

    .. math::
        [t, z] = \mathrm{softmax}(Q K^T / \sqrt d)\, V + x \qquad \text{(DSA, in each window)}

        y = \mathrm{softmax}(Q_t K_t^T / \sqrt d)\, z + z \qquad \text{(PSA, among the windows)}

    where :math:`Q, K, V` are linear in :math:`x`, and :math:`Q_t, K_t` in :math:`\mathrm{GELU}(\mathrm{LN}(t))`.
    A window's value in PSA is its whole map :math:`z`. The shortcuts :math:`+x` and :math:`+z` are those of the
    published implementation; the equations of the paper's v2 and v3 leave them out.

    Args:
        channels: Channels C of the map.
        num_heads: Number of heads; divides ``channels``.
        window_size: Side M of a window in pixels.
        use_psa: Whether the windows carry a token and PSA follows; without it the branch is DSA alone. Defaults to
            True.
        token_grid: Windows (down, across) that have a learnable token each, (1, 1) for one token that all windows
            share. Defaults to None: every token is the constant zero.
        attn_drop_rate: Dropout rate of the attention weights. Defaults to 0.
        proj_drop_rate: Dropout rate of the output. Defaults to 0.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int,
        use_psa: bool = True,
        token_grid: tuple[int, int] | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        # What the architecture fixes is a number of its own: read off a tensor, an exported graph would compute it.
        self.num_heads = num_heads
        self.head_dim = channels // num_heads
        self.window_size = window_size
        self.use_psa = use_psa
        self.attn_drop_rate = attn_drop_rate

        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.dsa_qkv = nn.Linear(channels, 3 * channels)
        self.window_token = nn.Parameter(torch.zeros(*token_grid, channels)) if use_psa and token_grid else None
        if use_psa:
            self.psa_norm = nn.LayerNorm(channels, eps=1e-5)
            self.psa_qk = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Attends inside the windows of a map (B, H, W, C) and, where they have tokens, among them; same shape out."""
        size, m = (x.shape[1], x.shape[2]), self.window_size
        # Said once: of each tensor whose shape is read, an exported graph reads it anew.
        grid = (x.shape[0], count_windows(size[0], m), count_windows(size[1], m))
        windows = to_windows(x, m)  # (B, Nh, Nw, M*M, C)
        if self.use_psa:
            windows = torch.cat([self.tokens(windows, grid), windows], dim=3)  # (B, Nh, Nw, 1 + M*M, C)
        # As published, tokens and the zeros that pad a map come before the norm: a row of zeros leaves it as its bias.
        windows = self.depthwise(self.norm(windows), grid)
        if self.use_psa:
            token, windows = windows.split((1, m * m), dim=3)
            windows = self.pointwise(token, windows, grid)
        x = to_map(windows, m, size).flatten(3)  # (B, H, W, C)
        return self.proj_drop(self.proj(x))

    def tokens(self, windows: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """The window tokens (B, Nh, Nw, 1, C) of windows (B, Nh, Nw, M * M, C), before the norm; grid: (B, Nh, Nw)."""
        (b, nh, nw), c = grid, self.num_heads * self.head_dim
        if self.window_token is None:
            return windows.new_zeros(b, nh, nw, 1, c)
        token = self.window_token
        if token.shape[:2] != (1, 1):  # a single token serves any number of windows
            token = resize_window_token(token, (nh, nw))
        return token.to(windows.dtype).unsqueeze(2).expand(b, nh, nw, 1, c)

    def depthwise(self, x: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """DSA: multi-head attention inside each window, plus what came in.

        Args:
            x: Normalised windows (B, Nh, Nw, T, C).
            grid: (B, Nh, Nw).

        Returns:
            Windows, as they came.
        """
        heads, d = self.num_heads, self.head_dim
        t = self.window_size**2 + int(self.use_psa)
        qkv = self.dsa_qkv(x).view(-1, t, 3, heads, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B*N, heads, T, d)
        z = attend(q, k, v, d**-0.5, self._attn_drop()).transpose(1, 2)  # (B*N, T, heads, d)
        return z.reshape(*grid, t, heads * d) + x

    def pointwise(self, token: Tensor, z: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """PSA: attention among the windows of an image, which weighs their maps by their tokens, plus the maps.

        Args:
            token: Window tokens (B, Nh, Nw, 1, C).
            z: Maps of the windows (B, Nh, Nw, M * M, C).
            grid: (B, Nh, Nw).

        Returns:
            Maps (B, Nh, Nw, M * M, heads, d) with heads * d = C.
        """
        b, nh, nw = grid
        n, p, heads, d = nh * nw, self.window_size**2, self.num_heads, self.head_dim
        # Tokens are copied: for a view of them, the backward pass would keep the windows whole.
        token = merge(token, b, n, heads * d)
        qk = self.psa_qk(F.gelu(self.psa_norm(token))).view(b, n, 2, heads, d)
        q, k = merge(qk.permute(2, 0, 3, 1, 4), 2, b * heads, n, d).unbind(0)  # each (B*heads, N, d)
        weight = torch.bmm(q * d**-0.5, k.transpose(1, 2)).softmax(dim=-1)  # (B*heads, N, N)
        z = z.view(b, nh, nw, p, heads, d).permute(0, 4, 1, 2, 3, 5)  # (B, heads, Nh, Nw, M*M, d)
        z = merge(z, b * heads, n, p * d)
        z = z + torch.bmm(F.dropout(weight, self.attn_drop_rate, self.training), z)
        return z.view(b, heads, nh, nw, p, d).permute(0, 2, 3, 4, 1, 5)

    def _attn_drop(self) -> float:
        return self.attn_drop_rate if self.training else 0.0

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Fits the window tokens of a checkpoint trained at another input size to this branch's grid."""
        key = f'{prefix}window_token'
        if self.window_token is not None and key in state_dict and state_dict[key].ndim == 3:
            state_dict[key] = resize_window_token(state_dict[key], tuple(self.window_token.shape[:2]))
        super()._load_from_state_dict(state_dict, prefix, *args)
