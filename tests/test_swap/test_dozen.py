"""Every style of algorithm trains and predicts with SepViT in it; the config that it came from stays as it was."""

from __future__ import annotations

import pytest
from dev.swap_matrix.trial import run
from dozen import DOZEN

from mmsepvit.configs.swap import load, swap
from mmsepvit.models import SepViT

# One of each package by default, of different ways to read the maps: a pyramid, two levels, the last one.
_QUICK = ('one-stage', 'DeepLabV3+', 'classifier')


@pytest.mark.parametrize('style', [s if s in _QUICK else pytest.param(s, marks=pytest.mark.slow) for s in DOZEN])
def test_trains_and_predicts(style: str) -> None:
    config = load(DOZEN[style])
    before = config.to_dict()
    report = swap(config, 'lite', frozen_stages=-1)
    assert config.to_dict() == before

    trial = run(report.config)
    backbone = report.config.model
    for part in report.backbones[0].split('.')[1:]:
        backbone = backbone[part]
    arguments = {k: v for k, v in backbone.items() if k != 'type'}
    every = len(list(SepViT(**arguments).parameters()))
    copies = 2 if style == 'semi-supervised' else 1  # the student trains, the teacher is its average
    assert trial.parameters == every
    assert trial.frozen == every * (copies - 1)
    assert trial.losses['loss'] > 0
    assert trial.predictions > 0
