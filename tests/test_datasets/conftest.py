"""The dataset classes collect garbage whenever they have read an annotation file."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True, scope='session')
def _quick_garbage_collection() -> None:
    """Takes all that is imported out of the collections, of which a single one takes longer than a test."""
    pytest.importorskip('mmseg')
    pytest.importorskip('mmdet')
    pytest.importorskip('mmpretrain')
    import mmseg.datasets  # noqa: F401

    gc.freeze()
