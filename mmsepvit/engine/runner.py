"""mmengine's ``Runner`` with repeatable draws, an exact and fast resume, and CPU processes."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.registry import DATA_SAMPLERS, RUNNERS
from mmengine.runner import BaseLoop, Runner
from torch import nn

from ..config_tree import replace_sync_bn
from ..errors import UserError
from .compiling import compile_backbones
from .randomness import SeedStepHook, seeded_dataloader


class _AlreadyAdvanced:
    """A data iterator that stands at the right place, so that the loop's skipping must do nothing.

    Args:
        iterator: The loop's own iterator.
        steps: Number of batches that the loop is going to skip.
    """

    def __init__(self, iterator: Any, steps: int) -> None:
        self._iterator = iterator
        self._steps = steps

    def __iter__(self) -> _AlreadyAdvanced:
        return self

    def __next__(self) -> Any:
        if self._steps > 0:  # mmengine 0.10.7 skips by loading
            self._steps -= 1
            return None
        return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """onedl-mmengine skips through this method."""
        self._steps -= num_iters


class SepViTRunner(Runner):
    """A Runner whose training is a function of the seed and the iteration (see ``randomness``).

    Resuming an endless sampler starts the sampler at the right place instead of loading and
    throwing away every batch that was trained on.
    """

    resume_iter = 0
    """Iteration that the checkpoint to resume from stands at."""

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop over a seeded dataloader."""
        if isinstance(loop, BaseLoop) or not isinstance(self._train_dataloader, dict):
            return super().build_train_loop(loop)
        plain = self._train_dataloader
        dataloader = seeded_dataloader(plain, self.seed)
        at_place = self.resume_iter > 0 and self._is_endless(plain)
        if at_place:
            dataloader['sampler']['start'] = self.resume_iter * plain['batch_size']
        # Only the loop sees it: what else reads the config of the dataloader finds the user's own.
        self._train_dataloader = dataloader
        try:
            built = super().build_train_loop(loop)
        finally:
            self._train_dataloader = plain
        if at_place and hasattr(built, 'dataloader_iterator'):
            built.dataloader_iterator = _AlreadyAdvanced(built.dataloader_iterator, self.resume_iter)
        self.register_hook(SeedStepHook())
        return built

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Builds a model, with BN for SyncBN where nothing is distributed.

        mmengine replaces built layers, but mmcv's MMSyncBN cannot even be built without a process group. The config
        that is saved beside the weights keeps what the user wrote.
        """
        if isinstance(model, dict) and not self.distributed:
            model = copy.deepcopy(model)
            replace_sync_bn(model)
        return super().build_model(model)

    def _maybe_compile(self, target: str) -> None:
        """Compiles SepViT where the model holds one, and else what mmengine compiles."""
        options = self.cfg.get('compile')
        arguments = {} if options is True else options
        count = compile_backbones(self.model, target == 'train_step', **arguments) if options else 0
        if count:
            self.logger.info(f'compile: {count} SepViT, on the first images of each size')
        else:
            super()._maybe_compile(target)

    @staticmethod
    def _is_endless(dataloader: dict) -> bool:
        kind = dataloader['sampler'].get('type')
        cls = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
        # Other batch samplers take a number of indices that only they know.
        plain_batches = dataloader.get('batch_sampler') is None
        return plain_batches and isinstance(cls, type) and issubclass(cls, InfiniteSampler)


def build_runner(config: Config, resumed: dict[str, Any] | None = None) -> Runner:
    """Builds the runner of a config: its own ``runner_type``, or `SepViTRunner`.

    Args:
        config: The config.
        resumed: ``meta`` of the checkpoint to resume from. Defaults to None: nothing is resumed.
    """
    if 'runner_type' in config:
        return RUNNERS.build(config)
    runner = SepViTRunner.from_cfg(config)
    runner.resume_iter = resumed['iter'] if resumed else 0
    return runner


def distribute_on_cpu(config: Config, launcher: str) -> list[str]:
    """Prepares a distributed run without GPUs, which mmengine does not do by itself.

    Opens a gloo process group, and takes what only GPUs have out of the config.

    Args:
        config: The config, changed in place.
        launcher: What started this process.

    Returns:
        Notes for the log.

    Raises:
        UserError: The launcher is slurm, whose processes mmengine opens on GPUs alone.
    """
    if launcher == 'none' or get_device() != 'cpu':
        return []
    if launcher == 'slurm':
        raise UserError(
            '--launcher slurm needs GPUs, and none is visible here; for CPU processes use '
            'tools/dist_train.sh or tools/dist_test.sh.'
        )
    if launcher == 'mpi':
        os.environ['RANK'] = os.environ['OMPI_COMM_WORLD_RANK']
        os.environ['WORLD_SIZE'] = os.environ['OMPI_COMM_WORLD_SIZE']
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
        os.environ.setdefault('MASTER_PORT', '29500')
    torch.distributed.init_process_group('gloo')
    config.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': config.get('find_unused_parameters', False),
    }
    notes = ['no GPU here: distributed over CPU processes with gloo']
    if replace_sync_bn(config.model):
        notes.append('SyncBN works on GPUs alone: BN takes its place, each process for itself')
    return notes
