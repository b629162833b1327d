"""What the backbone keeps for its backward pass. Times are results of ``tools/benchmark.py`` and never tests."""

from __future__ import annotations

import pytest
import torch
from dev.benchmark.figures import saved_bytes
from torch import nn

from mmsepvit import SepViT
from mmsepvit.models import recompute

MIB = 2**20


@pytest.mark.parametrize(('with_cp', 'bound'), [(False, 430), (True, 120)])
def test_tiny_keeps_little_for_backward(with_cp: bool, bound: int) -> None:
    """At 512x512 in float32; the published way of computing it keeps 606 MiB, mmpretrain's Swin-T 575."""
    model = SepViT('tiny', with_cp=with_cp).eval()
    images = torch.zeros(1, 3, 512, 512)
    assert saved_bytes(model, lambda: model(images)) <= bound * MIB


def test_memory_grows_with_pixels() -> None:
    """Linear but for PSA, whose weights are square in the number of windows and small at these sizes."""
    model = SepViT('lite').eval()
    small, large = (saved_bytes(model, lambda s=side: model(torch.zeros(1, 3, s, s))) for side in (224, 448))
    assert 3.9 < large / small < 4.1


@pytest.mark.parametrize('drop_rate', [0.0, 0.5])
@pytest.mark.parametrize('autocast', [False, True])
def test_recomputing_changes_no_gradient(drop_rate: float, autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(2, 3, 50, 70)
    model = SepViT('lite', drop_rate=drop_rate)
    found, kept = [], []
    for keep_all in (False, True):
        monkeypatch.setattr(recompute, 'KEEP_ALL', keep_all)
        model.zero_grad()
        torch.manual_seed(0)
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            sum(out.float().square().mean() for out in model(images)).backward()
            kept.append(saved_bytes(model, lambda: model(images)))
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found))
    # Dropout's output is random, and kept.
    assert kept[0] < (0.95 if drop_rate == 0 else 1.01) * kept[1]


def test_saved_bytes_count_storages_once_and_no_parameters() -> None:
    linear = nn.Linear(4, 4)
    x = torch.ones(8, 4, requires_grad=True)
    assert saved_bytes(linear, lambda: linear(x)) == x.numel() * 4
    assert saved_bytes(linear, lambda: (linear(x), linear(x[:4]))) == x.numel() * 4
    assert saved_bytes(linear, lambda: linear(x).exp().exp()) == 3 * x.numel() * 4
