from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsepvit.datasets.mini.noise import Noise, smoothstep, wave


@pytest.fixture(scope='module')
def noise() -> Noise:
    return Noise(np.random.default_rng(3))


def test_wave_is_close_to_a_sine():
    phase = np.linspace(-2, 2, 401)
    np.testing.assert_allclose(wave(phase), np.sin(2 * np.pi * phase), atol=0.06)


def test_smoothstep_clamps():
    np.testing.assert_array_equal(smoothstep(np.array([-1.0, 0.0, 0.5, 1.0, 7.0])), [0, 0, 0.5, 1, 1])


@given(st.floats(-500, 500), st.floats(-500, 500))
def test_noise_is_continuous_and_periodic(u: float, v: float):
    noise = Noise(np.random.default_rng(3))
    here = noise(u, v)
    assert 0 <= here < 1
    assert abs(noise(u + 1e-6, v - 1e-6) - here) < 1e-4
    assert abs(noise(u + 64, v - 64) - here) < 1e-6


def test_noise_meets_its_lattice(noise: Noise):
    """At whole coordinates the value is the lattice's, also where it wraps."""
    lattice = np.random.default_rng(3).random((64, 64))
    v, u = np.mgrid[-3:70, -3:70]
    np.testing.assert_allclose(noise(u, v), lattice[v % 64, u % 64], atol=1e-12)


def test_fractal_stays_in_range_and_offsets_differ(noise: Noise):
    v, u = np.mgrid[0:20:0.3, 0:20:0.3]
    a, b = noise.fractal(u, v, 3), noise.fractal(u, v, 3, offset=5.0)
    assert a.min() >= 0
    assert a.max() < 1
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.3
