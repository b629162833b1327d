"""Weights of the window attention against the formulas of the plain implementation, and their pictures."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import mmsepvit
from mmsepvit import SepViT
from mmsepvit.visualize import BlockAttention, draw_window_attention, window_attention

MICRO = {'channels': (8, 16), 'depths': (1, 2), 'num_heads': (2, 4), 'window_sizes': ((3,), (2, 4))}


def micro(**kwargs) -> SepViT:
    """A small model in float64 whose attention is far from even."""
    model = SepViT(MICRO, **{'input_size': 40, 'out_indices': (0, 1), **kwargs}).double().eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim in (1, 3) or 'qk' in name:
            nn.init.normal_(parameter, 0.3, 0.5)
    return model


def captured(model: SepViT, images: Tensor) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """(branch, input map (H, W, C), output map) of every attention."""
    calls, hooks = [], []
    for stage in model.stages:
        for block in stage.blocks:
            hooks.append(block.attn.register_forward_hook(lambda m, x, y: calls.append((m, x[0][0], y[0]))))
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return calls


def branch_from_weights(attn: nn.Module, x: Tensor, attention: BlockAttention) -> Tensor:
    """The branch of a block on a map (H, W, C), as `plain_sepvit.attention_branch`, but of weights that are given."""
    (height, width, channels), m = x.shape, attn.window_size
    rows, columns = math.ceil(height / m), math.ceil(width / m)
    assert attention.grid == (rows, columns)
    padded = F.pad(x, (0, 0, 0, columns * m - width, 0, rows * m - height))
    heads = [slice(h * channels // attn.num_heads, (h + 1) * channels // attn.num_heads) for h in range(attn.num_heads)]
    maps = []
    for n in range(rows * columns):
        i, j = divmod(n, columns)
        window = padded[i * m : (i + 1) * m, j * m : (j + 1) * m].reshape(m * m, channels)
        if attn.use_psa:
            token = x.new_zeros(1, channels) if attn.window_token is None else attn.window_token[0, 0][None]
            window = torch.cat([token, window])
        window = attn.norm(window)
        v = attn.dsa_qkv(window).chunk(3, dim=-1)[2]
        maps.append(torch.cat([attention.dsa[n, h] @ v[:, s] for h, s in enumerate(heads)], dim=-1) + window)
    z = torch.stack(maps)
    if attn.use_psa:
        z = z[:, 1:]
        mixed = [(attention.psa[h] @ z[:, :, s].flatten(1)).view_as(z[:, :, s]) for h, s in enumerate(heads)]
        z = z + torch.cat(mixed, dim=-1)
    out = torch.zeros_like(padded)
    for n in range(rows * columns):
        i, j = divmod(n, columns)
        out[i * m : (i + 1) * m, j * m : (j + 1) * m] = z[n].view(m, m, channels)
    return attn.proj(out[:height, :width])


# At 40x40 the last block has a 4x4 window of a 5x5 map, so PSA among four; at 3x5 all blocks have one window.
@pytest.mark.parametrize('size', [(40, 40), (33, 58), (3, 5)])
@pytest.mark.parametrize('token', ['zero', 'shared'])
@torch.no_grad()
def test_the_weights_give_the_blocks_outputs(token: str, size: tuple[int, int]) -> None:
    model = micro(window_token=token)
    images = torch.rand(1, 3, *size, dtype=torch.float64)
    found = window_attention(model, images[0])
    calls = captured(model, images)
    assert [attention.name for attention in found] == ['stages.0.blocks.0', 'stages.1.blocks.0', 'stages.1.blocks.1']
    for attention, (attn, x, out) in zip(found, calls):
        torch.testing.assert_close(branch_from_weights(attn, x, attention), out, rtol=1e-9, atol=1e-9)
        for weights in (attention.dsa, attention.psa):
            assert (weights >= 0).all()
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_a_block_without_psa_has_dsa_alone() -> None:
    model = SepViT('lite', window_token='learnable', out_indices=(3,), single_window_psa=False).eval()
    found = window_attention(model, torch.rand(3, 224, 224))
    assert [attention.psa is None for attention in found] == [False] * 3 + [False, True] * 3 + [True] * 2
    assert found[-1].dsa.shape == (1, 8, 49, 49)
    assert found[-1].psa_map(0) is None
    assert found[2].grid == (2, 2)
    assert found[2].window == 14 * 8


def test_a_model_stays_as_it_is() -> None:
    model = nn.Sequential(micro(), nn.Identity()).eval()
    hooks = [len(module._forward_hooks) for module in model.modules()]
    window_attention(model, torch.rand(1, 3, 40, 40, dtype=torch.float64))
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    with pytest.raises(RuntimeError):  # of the convolution
        window_attention(model, torch.rand(1, 4, 40, 40, dtype=torch.float64))
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_what_cannot_be_looked_into_is_refused() -> None:
    image = torch.rand(3, 40, 40, dtype=torch.float64)
    with pytest.raises(ValueError, match='0 SepViT'):
        window_attention(nn.Identity(), image)
    with pytest.raises(ValueError, match='eval'):
        window_attention(micro().train(), image)
    with pytest.raises(ValueError, match='one image'):
        window_attention(micro(), torch.rand(2, 3, 40, 40, dtype=torch.float64))


def test_a_point_chooses_its_window() -> None:
    weights = torch.full((6, 1, 5, 5), 0.2)
    attention = BlockAttention('stages.0.blocks.0', window=8, grid=(2, 3), dsa=weights, psa=torch.eye(6)[None])
    points = {(0, 0): 0, (7.9, 0): 0, (8, 0): 1, (23, 15): 5, (0, 8): 3, (1000, -5): 2}
    assert {point: attention.window_at(point) for point in points} == points
    assert attention.psa_map(4)[0].tolist() == [[0, 0, 0], [0, 1, 0]]
    assert attention.dsa_map(4).shape == (1, 2, 2)


def test_the_picture_shows_the_window_drawn_on(tmp_path: Path) -> None:
    psa = torch.zeros(1, 4, 4)
    psa[0, 0, 3] = 1  # the first window draws on the last alone
    attention = BlockAttention('stages.0.blocks.0', 32, (2, 2), torch.full((4, 1, 5, 5), 0.2), psa)
    file = tmp_path / 'new' / 'block.png'
    draw_window_attention(attention, np.full((64, 64, 3), 128, np.uint8), (5, 5), file)
    picture = cv2.imread(str(file))
    height, width = picture.shape[:2]
    left = picture[int(height * 0.2) :, : width // 2].astype(float)
    upper, lower = (half.mean(axis=(0, 1)) for half in (left[: len(left) // 2], left[len(left) // 2 :]))
    assert lower[1] > upper[1] + 10  # the colour map ends in yellow, and begins in black


def test_it_is_imported_when_asked_for() -> None:
    assert mmsepvit.visualize.window_attention is window_attention
