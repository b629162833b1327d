"""The rates that the schedulers really give, at the points that the recipes name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine import optim
from mmengine.config import Config
from recipe_table import TABLE, named

CONFIGS = Path(__file__).parents[2] / 'configs'


def rates(name: str, iterations: int, epoch_length: int) -> list[float]:
    """The rate of every iteration, stepped as mmengine's hook does."""
    config = Config.fromfile(CONFIGS / f'{name}.py')
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=config.optim_wrapper.optimizer.lr)
    by_epoch, by_iteration = [], []
    for settings in config.param_scheduler:
        settings = dict(settings)
        cls = getattr(optim, settings.pop('type'))
        if settings.pop('convert_to_iter_based', False):
            settings = {'epoch_length': epoch_length, **settings}
            by_iteration.append(cls.build_iter_from_epoch(optimizer=optimizer, **settings))
        else:
            scheduler = cls(optimizer=optimizer, **settings)
            (by_epoch if scheduler.by_epoch else by_iteration).append(scheduler)
    found = []
    optimizer.step()
    for iteration in range(1, iterations + 1):
        found.append(optimizer.param_groups[0]['lr'])
        for scheduler in by_iteration:
            scheduler.step()
        if iteration % epoch_length == 0:
            for scheduler in by_epoch:
                scheduler.step()
    return found


def test_upernet() -> None:
    lr = TABLE['upernet_sepvit_t_ade20k'].lr
    found = rates('upernet_sepvit_t_ade20k', 160000, epoch_length=1000)
    assert found[0] == pytest.approx(lr * 1e-6)
    assert found[750] == pytest.approx(lr / 2, rel=1e-2)
    assert max(found) == found[1500] == pytest.approx(lr)
    assert found[80750] == pytest.approx(lr / 2, rel=1e-3)  # power 1: a straight line
    assert found[-1] == pytest.approx(0, abs=1e-12)


def test_semantic_fpn() -> None:
    found = rates('fpn_sepvit_t_ade20k', 80000, epoch_length=1000)
    assert found[0] == pytest.approx(1e-4)
    assert found[40000] == pytest.approx((1e-4 - 1e-6) * 0.5**0.9 + 1e-6, rel=1e-3)
    assert found[-1] == pytest.approx(1e-6)


@pytest.mark.parametrize('name', named('_t_', 'coco'))
def test_coco(name: str) -> None:
    lr, epoch = TABLE[name].lr, 600
    epochs, first, second = (12, 8, 11) if '1x' in name else (36, 27, 33)
    found = rates(name, epochs * epoch, epoch)
    assert found[0] == pytest.approx(lr * 1e-3)
    assert found[250] == pytest.approx(lr / 2, rel=1e-2)
    for at in (500, first * epoch - 1):
        assert found[at] == pytest.approx(lr)
    for at in (first * epoch, second * epoch - 1):
        assert found[at] == pytest.approx(lr / 10)
    for at in (second * epoch, epochs * epoch - 1):
        assert found[at] == pytest.approx(lr / 100)


@pytest.mark.parametrize('name', ['sepvit_t_imagenet', 'sepvit_b_imagenet'])
def test_imagenet(name: str) -> None:
    row, epoch = TABLE[name], 100
    found = rates(name, 300 * epoch, epoch)
    warmup = row.warmup_epochs * epoch
    assert found[0] == pytest.approx(1e-6)
    assert found[warmup // 2] == pytest.approx((1e-3 + 1e-6) / 2, rel=2e-2)
    assert max(found) == found[warmup] == pytest.approx(1e-3)
    middle = (warmup + 300 * epoch) // 2
    assert found[middle] == pytest.approx((1e-3 + 1e-5) / 2, rel=2e-2)
    assert found[-1] == pytest.approx(1e-5, rel=1e-2)
