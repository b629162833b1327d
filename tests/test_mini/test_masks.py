from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from mmsepvit.datasets.mini.masks import mask_to_polygons, mask_to_rle

_MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def _decode(segmentation, height: int, width: int) -> np.ndarray:
    rle = coco_mask.frPyObjects(segmentation, height, width)
    if isinstance(rle, list):
        rle = coco_mask.merge(rle)
    return coco_mask.decode(rle).astype(bool)


@settings(deadline=None)
@given(_MASKS)
def test_rle_is_what_pycocotools_reads(mask: np.ndarray):
    np.testing.assert_array_equal(_decode(mask_to_rle(mask), *mask.shape), mask)


@settings(deadline=None, max_examples=300)
@given(_MASKS)
def test_polygons_cover_exactly_the_mask(mask: np.ndarray):
    """Also with holes, pixels that touch at a corner only, and pixels at the border."""
    polygons = mask_to_polygons(mask)
    assert all(len(polygon) >= 8 for polygon in polygons)
    if mask.any():
        np.testing.assert_array_equal(_decode(polygons, *mask.shape), mask)
    else:
        assert polygons == []


def test_a_rectangle_has_four_corners():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:4, 2:7] = True
    assert mask_to_polygons(mask) == [[2, 1, 7, 1, 7, 4, 2, 4]]


def test_a_ring_is_cut_into_parts_without_holes():
    mask = np.ones((7, 7), dtype=bool)
    mask[2:5, 2:5] = False
    assert len(mask_to_polygons(mask)) == 2


@given(st.integers(1, 5), st.integers(1, 5))
def test_empty_and_full_rle(height: int, width: int):
    empty = mask_to_rle(np.zeros((height, width), dtype=bool))
    assert empty == {'counts': [height * width], 'size': [height, width]}
    full = mask_to_rle(np.ones((height, width), dtype=bool))
    assert full['counts'] == [0, height * width]
