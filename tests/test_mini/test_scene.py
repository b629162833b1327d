from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsepvit.datasets.mini.classes import CLASS_INDEX, CLASSES, IMAGENET_FOCUS
from mmsepvit.datasets.mini.objects import build_parts
from mmsepvit.datasets.mini.render import render_scene
from mmsepvit.datasets.mini.scene import SIZES, sample_scene

_FOCI = [None, *(focus for focus, _ in IMAGENET_FOCUS.values())]
_KEYS = (st.integers(0, 2**40), st.integers(0, 2**40), st.sampled_from(_FOCI))


@settings(deadline=None, max_examples=60)
@given(*_KEYS)
def test_invariants_of_every_scene(seed: int, index: int, focus: str | None):
    scene = sample_scene(seed, index, focus)
    assert (scene.height, scene.width) in SIZES
    assert 0 < scene.horizon < scene.height
    assert len({ground.name for ground in scene.grounds}) == len(scene.grounds)
    assert [thing.y for thing in scene.things] == sorted(thing.y for thing in scene.things)
    for thing in scene.things:
        assert CLASSES[CLASS_INDEX[thing.name]].standing
        assert thing.size > 0
        assert all(0 <= channel <= 1 for colour in thing.colours for channel in colour)

    drawn = render_scene(scene)
    shape = (scene.height, scene.width)
    assert (drawn.image.shape, drawn.image.dtype) == ((*shape, 3), np.uint8)
    assert drawn.classes.shape == drawn.instances.shape == shape
    # An instance's pixels carry its class, and all pixels of standing classes have an instance.
    names = [CLASS_INDEX[thing.name] for thing in scene.things]
    seen = drawn.instances > 0
    np.testing.assert_array_equal(drawn.classes[seen], np.array([0, *names])[drawn.instances[seen]])
    standing = np.array([c.standing for c in CLASSES])
    np.testing.assert_array_equal(standing[drawn.classes], seen)
    # The regions lie where they belong.
    rows = np.arange(scene.height)[:, None] + 0.5 + np.zeros(shape)
    for name in ('sky', 'mountain'):
        assert (rows[drawn.classes == CLASS_INDEX[name]] <= scene.horizon).all()
    for ground in ('grass', 'sand', 'water', 'road'):
        assert (rows[drawn.classes == CLASS_INDEX[ground]] >= scene.horizon).all()


@settings(deadline=None, max_examples=20)
@given(*_KEYS)
def test_same_arguments_same_picture(seed: int, index: int, focus: str | None):
    scene, again = (sample_scene(seed, index, focus) for _ in range(2))
    assert scene == again
    np.testing.assert_array_equal(render_scene(scene).image, render_scene(again).image)
    assert sample_scene(seed + 1, index, focus) != scene
    assert sample_scene(seed, index + 1, focus) != scene


# Pixels, not files: these hold on every platform and every release of numpy and Pillow. Another
# value means another GENERATOR_VERSION.
@pytest.mark.parametrize(
    ('index', 'focus', 'digest'),
    [(3, None, '0cf80ce7d793547f'), (9, None, 'c37c8e461575c20e'), (0, 'zebra', '3bc4837649f00fd3')],
)
def test_pixels_are_pinned(index: int, focus: str | None, digest: str):
    drawn = render_scene(sample_scene(0, index, focus))
    content = b''.join(array.tobytes() for array in dataclasses.astuple(drawn))
    assert hashlib.sha256(content).hexdigest()[:16] == digest


@pytest.mark.parametrize('focus', _FOCI[1:])
def test_the_focus_fills_the_picture(focus: str):
    shares = []
    for index in range(12):
        drawn = render_scene(sample_scene(5, index, focus))
        shares.append((drawn.classes == CLASS_INDEX[focus]).mean())
    assert min(shares) > 0.02
    assert np.mean(shares) > 0.1


def test_a_nearer_object_hides_a_farther_one():
    scene = sample_scene(0, 0, 'elephant')
    (thing,) = (t for t in scene.things if t.name == 'elephant')
    behind = dataclasses.replace(thing, name='zebra', y=thing.y - 4, colours=thing.colours[:2])
    both = dataclasses.replace(scene, things=(behind, thing))
    swapped = dataclasses.replace(scene, things=(dataclasses.replace(behind, y=thing.y - 4), thing)[::-1])
    alone = dataclasses.replace(scene, things=(thing,))
    mask = render_scene(alone).instances == 1
    np.testing.assert_array_equal(render_scene(both).instances == 2, mask)
    assert (render_scene(swapped).instances == 1).sum() < mask.sum()


def test_mirroring_mirrors():
    scene = sample_scene(1, 1, 'car')
    (thing,) = (t for t in scene.things if t.name == 'car')
    middle = dataclasses.replace(thing, x=scene.width / 2)
    masks = [
        render_scene(dataclasses.replace(scene, things=(dataclasses.replace(middle, mirrored=m),))).instances
        for m in (False, True)
    ]
    np.testing.assert_array_equal(masks[0], masks[1][:, ::-1])


@pytest.mark.parametrize('name', [c.name for c in CLASSES if c.standing])
def test_objects_stand_on_the_ground(name: str):
    """Feet near y = 0, about one unit tall, whatever the pose."""
    rng = np.random.default_rng(0)
    scene = sample_scene(0, 0, 'person')
    thing = next(t for t in scene.things if t.name == 'person')
    for _ in range(20):
        colours = ((0.5, 0.5, 0.5),) * {'zebra': 2, 'tree': 2, 'person': 4, 'building': 4}.get(name, 3)
        posed = dataclasses.replace(thing, name=name, colours=colours, pose=tuple(rng.random(8)))
        bounds = np.array([part.shape.bounds() for part in build_parts(posed)])
        assert -0.15 < bounds[:, 1].min() < 0.05
        assert 0.75 < bounds[:, 3].max() < 1.15
