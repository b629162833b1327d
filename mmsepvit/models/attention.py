"""Separable self-attention: attention inside windows (DSA), then among them (PSA).

The names follow arXiv 2203.15380v4: depthwise self-attention (DSA; DWA in v2 and v3) works inside each window, as a
depthwise convolution works inside each channel; pointwise self-attention (PSA; PWA) mixes the windows, as a pointwise
convolution mixes channels. With windows of 7 pixels this is the paper's DSSA, with larger ones its GSA.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from .windows import add_and_split, to_map

# The CPU kernel of torch 2.1 writes beyond its buffers in the backward pass in bfloat16 with several threads and some
# lengths, 197 among them (pytorch/pytorch#132871); that of 2.11 does not.
_BROKEN_BF16 = torch.__version__.startswith(('2.0.', '2.1.', '2.2.'))


def attend(q: Tensor, k: Tensor, v: Tensor, drop_rate: float) -> Tensor:
    """Attention of queries, keys and values (B, heads, T, d): softmax(Q K^T / sqrt(d)) V, of the same shape."""
    if _BROKEN_BF16 and q.dtype == torch.bfloat16 and q.device.type == 'cpu' and torch.is_grad_enabled():
        with torch.autocast('cpu', enabled=False):
            z = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), dropout_p=drop_rate)
        return z.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=drop_rate)


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
        self.use_psa = use_psa
        self.attn_drop_rate = attn_drop_rate

        self.dsa_qkv = nn.Linear(channels, 3 * channels)
        if use_psa:
            self.psa_norm = nn.LayerNorm(channels, eps=1e-5)
            self.psa_qk = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def forward(self, x: Tensor, qkv: Tensor, size: tuple[int, int]) -> Tensor:
        """Attends inside the windows of a map and, where they have tokens, among them.

        Args:
            x: Normalised windows (B, Nh, Nw, T, C), the token first where there is PSA; see `to_windows`.
            qkv: Their queries, keys and values (B, Nh, Nw, T, 3 * C), from `dsa_qkv`.
            size: Height and width (H, W) of the map without its padding, in pixels.

        Returns:
            Map (B, H, W, C).
        """
        b, rows, columns, t, _ = x.shape
        m, heads, d = self.window_size, self.num_heads, self.head_dim
        x = x.flatten(1, 2)  # (B, N, T, C)
        z = self.depthwise(qkv.flatten(0, 2))  # (B*N, heads, T, d)
        if self.use_psa:
            token, z = add_and_split(z, x)  # (B, N, C), (B, heads, N, M*M*d)
            z = self.pointwise(token, z).view(b, heads, rows, columns, m, m, d).permute(0, 2, 3, 4, 5, 1, 6)
        else:
            z = (z.transpose(1, 2) + x.view(-1, t, heads, d)).view(b, rows, columns, m, m, heads, d)
        return self.proj_drop(self.proj(to_map(z, size).flatten(3)))  # (B, H, W, heads, d) -> (B, H, W, C)

    def depthwise(self, qkv: Tensor) -> Tensor:
        """DSA without its shortcut: multi-head attention in each window, (B*N, T, 3*C) -> (B*N, heads, T, d)."""
        b, t, _ = qkv.shape
        # The gradients of chunks meet in one copy; those of a permuted (3, ...) tensor would in two.
        q, k, v = qkv.chunk(3, dim=-1)
        q = q.view(b, t, self.num_heads, self.head_dim).transpose(1, 2)  # (B*N, heads, T, d)
        k = k.view(b, t, self.num_heads, self.head_dim).transpose(1, 2)
        v = v.view(b, t, self.num_heads, self.head_dim).transpose(1, 2)
        return attend(q, k, v, self._attn_drop())

    def pointwise(self, token: Tensor, z: Tensor) -> Tensor:
        """PSA: attention among the windows, which weighs whole maps by their tokens, plus the maps.

        Args:
            token: Window tokens (B, N, C).
            z: Maps of the windows (B, heads, N, M * M * d).

        Returns:
            Maps, as they came.
        """
        b, n, _ = token.shape
        if n == 1 and not torch.is_grad_enabled() and not self._attn_drop():
            return z + z  # the softmax of one number is 1; with gradients, all parameters shall have theirs
        qk = self.psa_qk(F.gelu(self.psa_norm(token))).view(b, n, 2, self.num_heads, self.head_dim)
        q, k = qk.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, d)
        weight = (q * self.head_dim**-0.5 @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, heads, N, N)
        weight = F.dropout(weight, self._attn_drop())
        # weight @ z + z = (weight + 1) @ z: the shortcut costs N * N additions instead of a pass over the maps
        weight = weight + torch.eye(n, device=weight.device).to(weight.dtype)  # torch 2.1 has no 16-bit eye
        return weight @ z

    def _attn_drop(self) -> float:
        return self.attn_drop_rate if self.training else 0.0
