"""Fixtures of the mini data's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmsepvit.datasets.mini import Counts, write_mini_data

SMALL = Counts(train=8, val=4, class_train=1, class_val=1)


@pytest.fixture(scope='session')
def small_counts() -> Counts:
    return SMALL


@pytest.fixture(scope='session')
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mini data folder of seed 0; not to be changed."""
    return write_mini_data(tmp_path_factory.mktemp('small') / 'mini', 0, SMALL)
