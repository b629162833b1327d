"""A training run as a function of its seed and the number of the iteration alone.

mmengine seeds a run once, so what iteration 5000 draws depends on everything drawn before it, and a
resumed run, which has not drawn all that, becomes another run. Here each sample is drawn from a seed
of (run, rank, epoch, position in the epoch), and each training step from one of (run, rank,
iteration). A resumed run then equals an uninterrupted one without any generator's state in the
checkpoint, and neither depends on the number of data loading workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, sync_random_seed
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import Runner
from torch.utils.data import Dataset, Sampler

from ..datasets.naming import DataError
from ..registry import HOOKS
from .bad_data import GuardedDataset, LabelRange, guarded_collate
from .left_out import LeftOut

_SAMPLE, _STEP, _REPLACEMENT = 0, 1, 2  # keep the families of seeds apart
_ATTEMPTS = 100  # of finding a sample in place of one that is left out


def seed_everything(*numbers: int) -> None:
    """Seeds Python's, numpy's and torch's global generators from a few non-negative numbers."""
    words = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


class DrawnIndex(int):
    """An index into a dataset that knows which draw of the run it is.

    It travels through batch samplers and to worker processes as the ``int`` that it is.

    Attributes:
        draw: Epoch, and position in the epoch.
    """

    draw: tuple[int, int]

    def __new__(cls, index: int, draw: tuple[int, int]) -> DrawnIndex:
        drawn = super().__new__(cls, index)
        drawn.draw = draw
        return drawn

    def __reduce__(self) -> tuple[Any, ...]:
        return DrawnIndex, (int(self), self.draw)


class DrawSampler(Sampler):
    """Numbers the indices that another sampler yields.

    Args:
        sampler: Config of that sampler.
        dataset: The dataset to sample from.
        seed: Seed of the order. Defaults to a random one, the same on all ranks.
        start: Number of indices of the first epoch to leave out, for resuming. Defaults to 0.
    """

    def __init__(self, sampler: dict, dataset: Dataset, seed: int | None = None, start: int = 0) -> None:
        self.dataset = dataset
        seed = sync_random_seed() if seed is None else seed
        self.sampler = DATA_SAMPLERS.build(sampler, default_args={'dataset': dataset, 'seed': seed})
        self.epoch = 0
        self.start = start

    def __iter__(self) -> Iterator[DrawnIndex]:
        start, self.start = self.start, 0
        numbered = enumerate(self.sampler)
        for position, index in islice(numbered, start, None):
            yield DrawnIndex(index, (self.epoch, position))

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration yields."""
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


class SeededDataset(GuardedDataset):
    """Seeds the global generators before every sample that another dataset loads.

    Everything else is that dataset's: its length, its ``metainfo``, its ``pipeline``.

    Args:
        dataset: Config of that dataset.
        seed: Seed of the run.
        labels: See :class:`GuardedDataset`.
        left_out: Where samples with errors are noted; another one takes their place. Defaults to nowhere: the error is
            raised.
    """

    training = True

    def __init__(
        self, dataset: dict, seed: int, labels: LabelRange | None = None, left_out: LeftOut | None = None
    ) -> None:
        super().__init__(dataset, labels, left_out)
        self.seed = seed
        self.rank = get_rank()

    def __getitem__(self, index: int) -> Any:
        draw = index.draw if isinstance(index, DrawnIndex) else None  # None: a batch sampler made indices of its own
        if draw:
            seed_everything(_SAMPLE, self.seed, self.rank, *draw)
        index = int(index)
        attempt = 0
        while True:
            try:
                return self.load(index)
            except DataError as error:
                if self.left_out is None or attempt == _ATTEMPTS:
                    raise
                self.left_out.add(error)
            if draw:
                seed_everything(_REPLACEMENT, self.seed, self.rank, *draw, attempt)
            index, attempt = int(np.random.randint(len(self))), attempt + 1


def seeded_dataloader(
    dataloader: dict, seed: int, labels: LabelRange | None = None, left_out: LeftOut | None = None
) -> dict:
    """The config of a training dataloader, with numbered draws and seeded samples, whose errors are named."""
    return dict(
        dataloader,
        dataset={
            'type': SeededDataset,
            'dataset': dataloader['dataset'],
            'seed': seed,
            'labels': labels,
            'left_out': left_out,
        },
        sampler={'type': DrawSampler, 'sampler': dataloader['sampler']},
        collate_fn=guarded_collate(dataloader),
    )


def seed_step(seed: int, rank: int, iteration: int) -> None:
    """Seeds the global generators for a training step.

    Args:
        seed: Seed of the run.
        rank: Rank of the process.
        iteration: Number of iterations before this one.
    """
    seed_everything(_STEP, seed, rank, iteration)


@HOOKS.register_module()
class SeedStepHook(Hook):
    """Seeds the global generators before every training step (dropout, stochastic depth, mixup)."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | tuple | list | None = None) -> None:
        seed_step(runner.seed, get_rank(), runner.iter)
