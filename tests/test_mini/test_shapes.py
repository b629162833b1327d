from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from mmsepvit.datasets.mini.shapes import Ellipse, Limb, Polygon, box, chain

_Y, _X = np.mgrid[-1.5:1.5:41j, -1.5:1.5:41j] + 0.003
_STAR = tuple(
    ((1.2 if i % 2 else 0.5) * math.cos(i * math.pi / 5), (1.2 if i % 2 else 0.5) * math.sin(i * math.pi / 5))
    for i in range(10)
)


@pytest.mark.parametrize('points', [_STAR, _STAR[::-1], ((-1, -1), (1, -0.5), (0, -0.2), (0.4, 1.0))])
def test_polygon_inside_agrees_with_matplotlib(points):
    expected = Outline(points).contains_points(np.stack([_X.ravel(), _Y.ravel()], 1)).reshape(_X.shape)
    np.testing.assert_array_equal(Polygon(tuple(points)).distance(_X, _Y) < 0, expected)


def test_box_distance():
    square = box(0, 0, 2, 1)
    x, y = np.array([1.0, 3.0, 1.0, 3.0]), np.array([0.5, 0.5, 1.5, 2.0])
    np.testing.assert_allclose(square.distance(x, y), [-0.5, 1.0, 0.5, math.sqrt(2)])


def test_limb_is_a_disc_at_each_end_and_tapers():
    limb = Limb(0, 0, 0.4, 1, 0, 0.2)
    np.testing.assert_allclose(
        limb.distance(np.array([-1.0, 2.0, 0.5]), np.array([0, 0, 0.3])), [0.6, 0.8, 0.0], atol=1e-12
    )


def test_ellipse_is_zero_on_its_rim():
    angle = np.linspace(0, 6, 20)
    rim = Ellipse(0.3, -0.2, 0.7, 0.4)
    on_rim = rim.distance(0.3 + 0.7 * np.cos(angle), -0.2 + 0.4 * np.sin(angle))
    np.testing.assert_allclose(on_rim, 0, atol=1e-12)


@pytest.mark.parametrize('shape', [Ellipse(0.1, 0.2, 0.9, 0.3), Limb(-0.5, 0.3, 0.1, 0.6, -0.6, 0.4), Polygon(_STAR)])
def test_bounds_hold_all_of_the_shape(shape):
    inside = shape.distance(_X, _Y) < 0
    x0, y0, x1, y1 = shape.bounds()
    assert inside.any()
    assert x0 <= _X[inside].min()
    assert x1 >= _X[inside].max()
    assert y0 <= _Y[inside].min()
    assert y1 >= _Y[inside].max()


def test_chain_joins_its_points():
    limbs = chain([(0, 0), (1, 0), (1, 1)], 0.3, 0.1)
    assert [(limb.r0, limb.r1) for limb in limbs] == [(0.3, 0.2), (0.2, pytest.approx(0.1))]
    assert (limbs[0].x1, limbs[0].y1) == (limbs[1].x0, limbs[1].y0)
