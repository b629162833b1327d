"""Separable self-attention: attention inside windows (DSA), then among them (PSA).

The names follow arXiv 2203.15380v4: depthwise self-attention (DSA; DWA in v2 and v3) works inside each window, as a
depthwise convolution works inside each channel; pointwise self-attention (PSA; PWA) mixes the windows, as a pointwise
convolution mixes channels. With windows of 7 pixels this is the paper's DSSA, with larger ones its GSA.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def window_partition(x: Tensor, window_size: int) -> Tensor:
    """Cuts a map into square windows.

    Args:
        x: Map (B, H, W, C), H and W divisible by ``window_size``.
        window_size: Side M of a window in pixels.

    Returns:
        Windows (B, N, M * M, C), N = H / M * W / M, row by row; a view of ``x`` where N or M is 1, else a copy.
    """
    b, h, w, c = x.shape
    m = window_size
    x = x.view(b, h // m, m, w // m, m, c)  # (B, Nh, M, Nw, M, C)
    return x.transpose(2, 3).reshape(b, (h // m) * (w // m), m * m, c)  # (B, N, M*M, C)


def window_reverse(windows: Tensor, window_size: int, height: int, width: int) -> Tensor:
    """Puts windows (B, N, M * M, C) back into their map (B, height, width, C): the inverse of `window_partition`."""
    b, _, _, c = windows.shape
    m = window_size
    x = windows.view(b, height // m, width // m, m, m, c)  # (B, Nh, Nw, M, M, C)
    return x.transpose(2, 3).reshape(b, height, width, c)  # (B, H, W, C)


class SeparableAttention(nn.Module):
    r"""DSA and PSA of one block.

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
        use_psa: Whether the windows carry a token and PSA follows; without it the block is DSA alone.
        attn_drop_rate: Dropout rate of the attention weights. Defaults to 0.
        proj_drop_rate: Dropout rate of the output. Defaults to 0.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int,
        use_psa: bool,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = channels // num_heads
        self.window_size = window_size
        self.attn_drop_rate = attn_drop_rate

        self.dsa_qkv = nn.Linear(channels, 3 * channels)
        if use_psa:
            self.psa_norm = nn.LayerNorm(channels, eps=1e-5)
            self.psa_qk = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def forward(self, x: Tensor, token: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Attends inside the windows of a map and, where there are tokens, among them.

        Args:
            x: Normalised map (B, Hp, Wp, C), padded to whole windows.
            token: Normalised window tokens (N or 1, C), or None where the block has no PSA.
            size: Height and width (H, W) of the map without its padding, in pixels.

        Returns:
            Map (B, H, W, C).
        """
        b, height, width, c = x.shape
        windows = window_partition(x, self.window_size)  # (B, N, M*M, C)
        if token is None:
            z = self.depthwise(windows)
        else:
            token = token.unsqueeze(-2).expand(b, windows.shape[1], 1, c)
            z = self.depthwise(torch.cat([token, windows], dim=2))  # (B, N, 1+M*M, C)
            z = self.pointwise(z[:, :, 0], z[:, :, 1:])
        z = window_reverse(z, self.window_size, height, width)
        return self.proj_drop(self.proj(z[:, : size[0], : size[1]]))

    def depthwise(self, x: Tensor) -> Tensor:
        """DSA: multi-head attention inside each window (B, N, T, C) plus its input; same shape out."""
        b, n, t, c = x.shape
        qkv = self.dsa_qkv(x).view(b * n, t, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B*N, heads, T, d)
        z = F.scaled_dot_product_attention(q, k, v, dropout_p=self._attn_drop())
        return z.transpose(1, 2).reshape(b, n, t, c) + x

    def pointwise(self, token: Tensor, z: Tensor) -> Tensor:
        """PSA: attention among the windows, which weighs whole maps by their tokens, plus the maps.

        Args:
            token: Window tokens (B, N, C).
            z: Maps of the windows (B, N, M * M, C).

        Returns:
            Maps (B, N, M * M, C).
        """
        b, n, p, c = z.shape
        qk = self.psa_qk(F.gelu(self.psa_norm(token))).view(b, n, 2, self.num_heads, self.head_dim)
        q, k = qk.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, d)
        weight = (q * self.head_dim**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, heads, N, N)
        weight = F.dropout(weight, self._attn_drop())
        # weight @ z + z = (weight + 1) @ z: the shortcut costs N * N additions instead of a pass over the maps
        weight = weight + torch.eye(n, device=weight.device).to(weight.dtype)  # torch 2.1 has no 16-bit eye
        z = z.view(b, n, p, self.num_heads, self.head_dim).permute(0, 3, 1, 2, 4)  # (B, heads, N, M*M, d)
        z = weight @ z.reshape(b, self.num_heads, n, p * self.head_dim)  # (B, heads, N, M*M*d)
        z = z.view(b, self.num_heads, n, p, self.head_dim)
        return z.permute(0, 2, 3, 1, 4).reshape(b, n, p, c)  # (B, N, M*M, C)

    def _attn_drop(self) -> float:
        return self.attn_drop_rate if self.training else 0.0
