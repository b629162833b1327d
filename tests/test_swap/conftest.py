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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests are minutes long: they run with PYTEST_ARGS='-m slow' until they are made lighter (issue 4)."""
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.slow)
