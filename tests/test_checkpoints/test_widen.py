"""A widened SepViT computes what the narrow one does."""

from __future__ import annotations

import pytest
import torch

from mmsepvit import SepViT
from mmsepvit.checkpoints.widen import widen


def model(times: int, seed: int) -> SepViT:
    torch.manual_seed(seed)
    arch = {
        'channels': [times * channels for channels in (8, 16)],
        'depths': [1, 2],
        'num_heads': [times, 2 * times],
        'window_sizes': [[7], [7, 14]],
    }
    return SepViT(arch, out_indices=(0, 1)).double().eval()


@pytest.mark.parametrize('times', [1, 2])
def test_its_maps_are_the_narrow_ones_repeated(times: int) -> None:
    narrow, wide = model(1, seed=0), model(times, seed=1)
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.normal_(std=0.3)  # biases and norms too, which begin at 0 and 1
    wide.load_state_dict(widen(narrow.state_dict(), times))
    images = torch.rand(1, 3, 70, 101, dtype=torch.float64)
    with torch.no_grad():
        for few, many in zip(narrow(images), wide(images)):
            torch.testing.assert_close(many, few.repeat(1, times, 1, 1), rtol=1e-4, atol=1e-4)


def test_half_precision_is_widened_in_single() -> None:
    state = {name: value.half() for name, value in model(1, seed=0).state_dict().items()}
    widened = widen(state, 2)
    assert {value.dtype for value in widened.values()} == {torch.float32}
    name = 'stages.1.blocks.0.mlp.fc1.weight'
    shares = widened[name].view(2, 64, 2, 16).sum(dim=2)  # what is read of both copies
    torch.testing.assert_close(shares, state[name].float().expand(2, 64, 16))
