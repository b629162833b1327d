"""Which stages stand in for which outputs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsepvit.configs.swap import SwapRefused
from mmsepvit.configs.swap.probe import Feature
from mmsepvit.configs.swap.stages import choose_stages

STRIDES = (4, 8, 16, 32)


def maps(*strides: int) -> list[Feature]:
    return [Feature(64, stride) for stride in strides]


@pytest.mark.parametrize(
    ('strides', 'task', 'stages'),
    [
        ((4, 8, 16, 32), 'detection', [0, 1, 2, 3]),
        ((8, 16, 32), 'detection', [1, 2, 3]),
        ((16,), 'detection', [2]),  # DC5 and C4: anchors hang on the stride
        ((32,), 'detection', [3]),
        ((8, 16), 'detection', [1, 2]),
        ((4, 8, 8, 8), 'segmentation', [0, 1, 2, 3]),
        ((4, 8, 16, 16), 'segmentation', [0, 1, 2, 3]),
        ((8,), 'segmentation', [3]),
        ((16,), 'segmentation', [3]),
        ((2, 4, 8), 'segmentation', [0, 1, 3]),  # LRASPP's
        ((8, 16, 32), 'segmentation', [1, 2, 3]),
        ((16, 16, 16, 16), 'segmentation', [0, 1, 2, 3]),  # a plain transformer
        ((64,), 'classification', [3]),
    ],
)
def test_known_answers(strides: tuple[int, ...], task: str, stages: list[int]) -> None:
    chosen, notes = choose_stages(maps(*strides), task, STRIDES)
    assert chosen == stages
    said = [STRIDES[i] for i in chosen] != list(strides) and task != 'classification'
    assert bool(notes) == said


@pytest.mark.parametrize(
    ('strides', 'message'),
    [((4, 4), 'one stride'), ((32, 16, 8), 'no pyramid'), ((2, 4, 8, 16, 32), '5 things')],
)
def test_refused(strides: tuple[int, ...], message: str) -> None:
    with pytest.raises(SwapRefused, match=message):
        choose_stages(maps(*strides), 'detection', STRIDES)


@given(
    st.lists(st.sampled_from([2, 4, 8, 16, 32, 64]), min_size=1, max_size=4).map(sorted),
    st.sampled_from(['detection', 'segmentation']),
)
def test_stages_rise_and_are_as_many(strides: list[int], task: str) -> None:
    try:
        chosen, _ = choose_stages(maps(*strides), task, STRIDES)
    except SwapRefused:
        assert len(strides) > 1
        assert len(set(strides)) == 1
        return
    assert len(chosen) == len(strides)
    assert all(a < b for a, b in zip(chosen, chosen[1:]))
    assert set(chosen) <= {0, 1, 2, 3}
