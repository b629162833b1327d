from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mmsepvit.datasets.mini.classes import CLASS_NAMES, COCO_IDS, IMAGENET_CLASSES
from mmsepvit.datasets.mini.scenes import Picture, draw_scene


def equal(first: Picture, second: Picture) -> bool:
    arrays = zip((first.image, first.labels, first.objects), (second.image, second.labels, second.objects))
    return first.things == second.things and all(np.array_equal(a, b) for a, b in arrays)


@pytest.mark.parametrize('focus', [None, 'zebra', 'water'])
def test_a_picture_is_a_function_of_seed_and_number(focus: str | None):
    picture = draw_scene(3, 7, focus)
    assert equal(picture, draw_scene(3, 7, focus))
    assert not equal(picture, draw_scene(4, 7, focus))
    assert not equal(picture, draw_scene(3, 8, focus))


def test_scenes_show_all_classes_and_hard_cases():
    pictures = [draw_scene(0, i) for i in range(60)]
    shown = Counter(label for picture in pictures for label in np.unique(picture.labels).tolist())
    assert set(shown) == set(range(len(CLASS_NAMES)))
    # No class is a rarity that a short training never meets.
    assert min(shown.values()) >= 6
    things = [thing for picture in pictures for thing in picture.things]
    assert any(crowd for _, crowd in things)
    assert len({picture.image.shape for picture in pictures}) == 4


def test_objects_and_classes_agree():
    for index in range(20):
        picture = draw_scene(1, index)
        assert picture.image.dtype == picture.labels.dtype == picture.objects.dtype == np.uint8
        assert picture.image.shape == (*picture.labels.shape, 3)
        assert picture.objects.max() <= len(picture.things)
        for number, (label, _) in enumerate(picture.things, 1):
            assert set(picture.labels[picture.objects == number]) <= {label}
        # Whatever COCO counts has a number.
        counted = [label for label, number in enumerate(COCO_IDS) if 0 < number <= 90]
        assert ((picture.objects > 0) == np.isin(picture.labels, counted)).all()


@pytest.mark.parametrize('focus', [focus for focus, _ in IMAGENET_CLASSES.values()])
def test_a_picture_of_a_class_shows_much_of_it(focus: str):
    shares = [(draw_scene(0, i, focus).labels == CLASS_NAMES.index(focus)).mean() for i in range(10)]
    assert np.mean(shares) > 0.08
    assert min(shares) > 0.02
