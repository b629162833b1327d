"""Windows: what goes where, at every size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsepvit.models.windows import count_windows, to_map, to_windows


def test_pixels_of_a_window_lie_row_by_row() -> None:
    x = torch.arange(1, 13).view(1, 3, 4, 1)  # a map of 3x4 pixels
    windows = to_windows(x, 2).squeeze(-1)
    assert windows.tolist() == [[[[1, 2, 5, 6], [3, 4, 7, 8]], [[9, 10, 0, 0], [11, 12, 0, 0]]]]


@given(
    b=st.integers(1, 2),
    h=st.integers(1, 12),
    w=st.integers(1, 12),
    m=st.integers(1, 5),
    rest=st.sampled_from([(3,), (2, 3)]),
)
def test_joining_undoes_cutting(b: int, h: int, w: int, m: int, rest: tuple[int, ...]) -> None:
    x = torch.randn(b, h, w, *rest)
    windows = to_windows(x.flatten(3), m)
    assert windows.shape == (b, count_windows(h, m), count_windows(w, m), m * m, x.flatten(3).shape[3])
    assert torch.equal(to_map(windows.view(*windows.shape[:4], *rest), m, (h, w)), x)
    assert windows.sum().item() == pytest.approx(x.sum().item(), abs=1e-4)  # what pads is zero


@pytest.mark.parametrize(('length', 'windows'), [(1, 1), (6, 1), (7, 1), (8, 2), (14, 2), (15, 3)])
def test_windows_of_seven(length: int, windows: int) -> None:
    assert count_windows(length, 7) == windows
