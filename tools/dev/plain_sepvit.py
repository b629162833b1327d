"""A second SepViT, written from the equations to be read: loops over windows and heads, no fused kernel, no trick.

It takes the parameters of a `mmsepvit.SepViT` (any object with the same modules) and computes the same function.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for one head: q (Tq, d), k (Tk, d), v (Tk, dv) -> (Tq, dv)."""
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1) @ v


def separable_attention(attn: nn.Module, windows: list[Tensor]) -> list[Tensor]:
    """DSA and PSA of one image: windows are (1 + M*M, C) with the token first, or (M*M, C) where there is no PSA."""
    d = attn.dsa_qkv.in_features // attn.num_heads
    heads = [slice(h * d, (h + 1) * d) for h in range(attn.num_heads)]
    maps, tokens = [], []
    for x in windows:
        q, k, v = attn.dsa_qkv(x).chunk(3, dim=-1)
        z = torch.cat([attend(q[:, h], k[:, h], v[:, h]) for h in heads], dim=-1) + x
        maps.append(z)
    if not hasattr(attn, 'psa_qk'):
        return maps
    tokens = torch.stack([z[0] for z in maps])  # (N, C)
    maps = torch.stack([z[1:] for z in maps])  # (N, M*M, C)
    q, k = attn.psa_qk(F.gelu(attn.psa_norm(tokens))).chunk(2, dim=-1)
    mixed = torch.zeros_like(maps)
    for h in heads:
        mixed[:, :, h] = attend(q[:, h], k[:, h], maps[:, :, h].flatten(1)).view_as(maps[:, :, h])
    return list(mixed + maps)


def attention_branch(attn: nn.Module, x: Tensor) -> Tensor:
    """The attention branch of a block on one map (H, W, C)."""
    height, width, channels = x.shape
    m = attn.window_size
    rows, columns = math.ceil(height / m), math.ceil(width / m)
    padded = x.new_zeros(rows * m, columns * m, channels)
    padded[:height, :width] = x
    if attn.window_token is None:
        token = x.new_zeros(rows, columns, channels)
    elif attn.window_token.shape[:2] in ((rows, columns), (1, 1)):
        token = attn.window_token.expand(rows, columns, channels)
    else:
        grid = attn.window_token.permute(2, 0, 1)[None]
        grid = F.interpolate(grid, (rows, columns), mode='bicubic', align_corners=False)
        token = grid[0].permute(1, 2, 0)

    windows = []
    for i in range(rows):
        for j in range(columns):
            window = padded[i * m : (i + 1) * m, j * m : (j + 1) * m].reshape(m * m, channels)
            if attn.use_psa:
                window = torch.cat([token[i, j][None], window])
            windows.append(attn.norm(window))
    windows = separable_attention(attn, windows)
    z = torch.zeros_like(padded)
    for i in range(rows):
        for j in range(columns):
            z[i * m : (i + 1) * m, j * m : (j + 1) * m] = windows[i * columns + j].view(m, m, channels)
    return attn.proj(z[:height, :width])


def block(module: nn.Module, x: Tensor) -> Tensor:
    """One block on one map (H, W, C)."""
    x = x + attention_branch(module.attn, x)
    return x + module.mlp.fc2(F.gelu(module.mlp.fc1(module.mlp.norm(x))))


def sepvit(model: nn.Module, images: Tensor) -> list[Tensor]:
    """The feature maps (B, C_i, H_i, W_i) of the output stages, without dropout and stochastic depth."""
    outs: list[list[Tensor]] = [[] for _ in model.out_indices]
    for image in images:
        x = image[None]  # (1, C, H, W)
        for i, stage in enumerate(model.stages):
            x = stage.patch_embed.norm(stage.patch_embed.proj(x)[0].permute(1, 2, 0))
            for j, module in enumerate(stage.blocks):
                x = block(module, x)
                if j == 0:
                    x = x + stage.cpe.proj(x.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
            if i in model.out_indices:
                x = getattr(model, f'norm{i}')(x)
                outs[model.out_indices.index(i)].append(x.permute(2, 0, 1))
            x = x.permute(2, 0, 1)[None]
    return [torch.stack(maps) for maps in outs]
