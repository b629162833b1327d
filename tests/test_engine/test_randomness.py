from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmsepvit.engine.randomness import (
    DrawnIndex,
    DrawSampler,
    SeededDataset,
    seed_everything,
    seeded_dataloader,
)


@DATASETS.register_module(force=True)
class Draws(Dataset):
    """Samples that are nothing but what the three generators say."""

    pipeline = 'old'

    @property
    def metainfo(self) -> dict[str, Any]:
        return {'classes': ('a',)}

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        assert type(index) is int
        draws = (random.random(), np.random.rand(), torch.rand(()).item())
        return {'index': index, 'draws': draws}


def batches(sampler: type, workers: int, epochs: int = 1, start: int = 0, seed: int = 3) -> list:
    config = {
        'batch_size': 2,
        'num_workers': workers,
        'persistent_workers': workers > 0,
        'dataset': {'type': 'Draws'},
        'sampler': {'type': sampler, 'shuffle': True},
        'collate_fn': {'type': 'pseudo_collate'},
    }
    config = seeded_dataloader(config, seed)
    if start:
        config['sampler']['start'] = start
    loader = Runner.build_dataloader(config, seed=seed)
    found = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            found += list(zip(batch['index'], zip(*batch['draws'])))
            if sampler is InfiniteSampler and len(found) >= 14:
                return found
    return found


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
def test_samples_do_not_depend_on_workers(sampler: type) -> None:
    alone = batches(sampler, workers=0, epochs=2)
    assert alone == batches(sampler, workers=2, epochs=2)
    assert alone != batches(sampler, workers=0, epochs=2, seed=4)
    draws = [draw for _, draw in alone]
    assert len(set(draws)) == len(draws)  # no sample's randomness comes twice


def test_endless_sampler_starts_later() -> None:
    assert batches(InfiniteSampler, 0, start=4)[:10] == batches(InfiniteSampler, 0)[4:14]


def test_wrapped_dataset_is_the_dataset() -> None:
    dataset = SeededDataset({'type': 'Draws'}, seed=0)
    assert len(dataset) == 6
    assert dataset.metainfo == {'classes': ('a',)}
    assert not hasattr(dataset, 'full_init')
    dataset.pipeline = 'new'
    assert dataset.dataset.pipeline == 'new'
    assert pickle.loads(pickle.dumps(dataset)).pipeline == 'new'


def test_plain_indices_are_not_seeded() -> None:
    dataset = SeededDataset({'type': 'Draws'}, seed=0)
    assert dataset[1]['draws'] != dataset[1]['draws']
    drawn = DrawnIndex(1, (0, 0))
    assert dataset[drawn]['draws'] == dataset[drawn]['draws']


def test_drawn_index_travels() -> None:
    index = pickle.loads(pickle.dumps(DrawnIndex(4, (2, 7))))
    assert index == 4
    assert index.draw == (2, 7)


def test_sampler_is_the_sampler() -> None:
    dataset = Draws()
    numbered = DrawSampler({'type': DefaultSampler, 'shuffle': True}, dataset, seed=1)
    plain = DefaultSampler(dataset, shuffle=True, seed=1)
    for epoch in range(2):
        numbered.set_epoch(epoch)
        plain.set_epoch(epoch)
        assert list(numbered) == list(plain)
    assert len(numbered) == len(plain)
    assert numbered.dataset is dataset


def test_seeds_differ() -> None:
    seen = set()
    for numbers in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1)]:
        seed_everything(*numbers)
        seen.add((random.random(), np.random.rand(), torch.rand(()).item()))
    assert len(seen) == 5
