"""Fixtures of the swap tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `dozen`


@pytest.fixture(scope='session', autouse=True)
def _packages() -> None:
    """The stack's three packages: where one is missing there is nothing to swap into."""
    for package in ('mmdet', 'mmseg', 'mmpretrain'):
        pytest.importorskip(package)
