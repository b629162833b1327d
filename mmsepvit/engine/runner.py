"""mmengine's ``Runner`` with repeatable draws, an exact and fast resume, and CPU processes."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.registry import DATA_SAMPLERS, HOOKS, MODEL_WRAPPERS, RUNNERS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, FlexibleRunner, Priority, Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..config_tree import builds, replace_sync_bn
from ..errors import UserError
from .bad_data import LabelRange, guard_metrics, guarded_dataloader, name_batches
from .compiling import compile_backbones
from .early_stopping import ResumedEarlyStoppingHook
from .left_out import LeftOut, LeftOutHook, NonEmptyBatches
from .non_finite import NonFiniteHook
from .randomness import SeedStepHook, seeded_dataloader
from .resuming import AlreadyAdvanced, Plan, check_shapes, count_from, without_first_batches
from .saving import SafeCheckpointHook
from .stopping import StopHook, StopRequest, with_patient_workers

if TYPE_CHECKING:
    from mmengine.runner import Runner as _Mixin  # or FlexibleRunner, which has what is used of it
else:
    _Mixin = object


class _Repeatable(_Mixin):
    """What both of mmengine's runners get: data that is drawn by seed and iteration, and errors with names."""

    resumed: dict[str, Any] | None = None
    """``meta`` of the checkpoint to resume from."""

    _left_out: LeftOut | None = None
    _train_dataloader: Any

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop over a seeded dataloader that begins where the resumed checkpoint stands."""
        if isinstance(loop, BaseLoop) or not isinstance(self._train_dataloader, dict):
            return super().build_train_loop(loop)
        plain = self._train_dataloader
        labels = LabelRange.of(self.cfg.get('model'))
        dataloader = with_patient_workers(
            seeded_dataloader(plain, self.seed, labels, self._samples_left_out()), self.seed
        )
        done = self.resumed['iter'] if self.resumed else 0
        at_place = done > 0 and self._is_endless(plain)
        if at_place:
            dataloader['sampler']['start'] = done * plain['batch_size']
        built = self._build_loop(loop, dataloader)
        if at_place and hasattr(built, 'dataloader_iterator'):
            built.dataloader_iterator = AlreadyAdvanced(built.dataloader_iterator, done)
        if self.resumed and isinstance(built, EpochBasedTrainLoop):
            in_epoch = done - self.resumed['epoch'] * len(built.dataloader)
            if 0 < in_epoch <= len(built.dataloader):
                built = self._build_loop(loop, without_first_batches(dataloader, in_epoch))
                built._epoch = self.resumed['epoch']
                count_from(built, in_epoch)
        self.register_hook(SeedStepHook())
        name_batches(built)
        return built

    def _build_loop(self, loop: dict, dataloader: dict) -> BaseLoop:
        # Only the loop sees it: what else reads the config of the dataloader finds the user's own.
        plain, self._train_dataloader = self._train_dataloader, dataloader
        try:
            return super().build_train_loop(loop)
        finally:
            self._train_dataloader = plain

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop over a dataloader whose errors name their files."""
        return self._build_guarded('val', super().build_val_loop, loop)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Builds the loop over a dataloader whose errors name their files."""
        return self._build_guarded('test', super().build_test_loop, loop)

    def _build_guarded(self, split: str, build: Callable, loop: BaseLoop | dict) -> BaseLoop:
        attribute = f'_{split}_dataloader'
        plain = getattr(self, attribute)
        if isinstance(loop, BaseLoop) or not isinstance(plain, dict):
            return build(loop)
        left_out = self._samples_left_out()
        setattr(self, attribute, with_patient_workers(guarded_dataloader(plain, left_out), self.seed))
        try:
            built = build(loop)
        finally:
            setattr(self, attribute, plain)
        name_batches(built)
        guard_metrics(built, getattr(self, f'_{split}_evaluator'))
        if left_out is not None:
            built.dataloader = NonEmptyBatches(built.dataloader)
        return built

    @staticmethod
    def _is_endless(dataloader: dict) -> bool:
        kind = dataloader['sampler'].get('type')
        cls = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
        # Other batch samplers take a number of indices that only they know.
        plain_batches = dataloader.get('batch_sampler') is None
        return plain_batches and isinstance(cls, type) and issubclass(cls, InfiniteSampler)

    def _samples_left_out(self) -> LeftOut | None:
        limit = self.cfg.get('skip_bad')
        if limit and self._left_out is None:
            self._left_out = LeftOut(Path(self.log_dir) / 'left_out.txt', limit)
            self.register_hook(LeftOutHook(self._left_out))
        return self._left_out


class SepViTFlexibleRunner(_Repeatable, FlexibleRunner):
    """mmengine's runner of strategies, such as FSDP's and DeepSpeed's, with repeatable draws.

    It saves as its strategy does, and knows nothing of the rest that `SepViTRunner` has.
    """


_OURS = {CheckpointHook: SafeCheckpointHook, EarlyStoppingHook: ResumedEarlyStoppingHook}
"""mmengine's hooks whose state a resumed run would lack, and what stands in their place."""


class SepViTRunner(_Repeatable, Runner):
    """A Runner whose training is a function of the seed and the iteration (see ``randomness``).

    It goes on exactly where a checkpoint stands, also in the middle of an epoch, without loading batches that were
    trained on; saves with `SafeCheckpointHook`; leaves out steps that are not finite; and stops by signals.
    """

    failed_in_a_row = 0
    """Number of the last iterations whose loss or gradient was not finite."""

    def train(self) -> nn.Module:
        """Trains.

        Raises:
            TrainingStopped: A signal asked for it. The state is saved.
        """
        request = StopRequest()
        self.register_hook(StopHook(request))
        if not any(isinstance(hook, NonFiniteHook) for hook in self.hooks):
            self.register_hook(NonFiniteHook())
        with request.listening():
            return super().train()

    def register_hook(self, hook: Hook | dict, priority: str | int | Priority | None = None) -> None:
        """Registers a hook; in the place of mmengine's checkpoint and early stopping hooks, those of this project."""
        if isinstance(hook, dict):
            kind = hook['type']
            ours = _OURS.get(HOOKS.get(kind) if isinstance(kind, str) else kind)
            hook = {**hook, 'type': ours} if ours else hook
        super().register_hook(hook, priority)

    def resume(self, filename: str, *args: Any, **options: Any) -> None:
        """Resumes, on the schedule that the config has now.

        Raises:
            UserError: The state is of another optimizer, or of a schedule that cannot be gone on with.
        """
        plan = Plan(self)
        try:
            super().resume(filename, *args, **options)
            check_shapes(self)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"--resume '{filename}': its state of a training is not one of this config's optimizer and schedule "
                f'({error}).\nResume with the config it was trained with, or begin a new training from its weights: '
                f'--cfg-options load_from={filename}'
            ) from error
        changes = plan.changes(self, self._schedulers_then)
        if changes:
            self.logger.warning(f'the config differs from the checkpoint and is followed: {"; ".join(changes)}')
            plan.follow(self)

    def load_checkpoint(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Loads a checkpoint and keeps what it says of schedulers, which mmengine takes as far as it goes."""
        checkpoint = super().load_checkpoint(*args, **options)
        then = checkpoint.get('param_schedulers')
        self._schedulers_then = then if isinstance(then, list) else None
        return checkpoint

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


def build_runner(config: Config, resumed: dict[str, Any] | None = None) -> Runner:
    """Builds the runner of a config: `SepViTRunner`, `SepViTFlexibleRunner` for a strategy, or a type of its own.

    Args:
        config: The config.
        resumed: ``meta`` of the checkpoint to resume from. Defaults to None: nothing is resumed.
    """
    kind = RUNNERS.get(config.runner_type) if 'runner_type' in config else None
    if kind not in (None, Runner, FlexibleRunner):
        return RUNNERS.build(config)
    flexible = kind is FlexibleRunner or config.get('strategy') is not None
    runner = (SepViTFlexibleRunner if flexible else SepViTRunner).from_cfg(config)
    runner.resumed = resumed
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
    timeout = ((config.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')
    options = {} if timeout is None else {'timeout': timedelta(seconds=timeout)}
    torch.distributed.init_process_group('gloo', **options)
    wrapper = {'type': 'MMDistributedDataParallel', **(config.get('model_wrapper_cfg') or {})}
    if builds(wrapper, DistributedDataParallel, config.get('default_scope'), MODEL_WRAPPERS):
        wrapper['device_ids'] = None  # mmengine names a GPU
        wrapper.setdefault('broadcast_buffers', False)
        wrapper.setdefault('find_unused_parameters', config.get('find_unused_parameters', False))
    if config.get('strategy') is not None:
        config.strategy.model_wrapper = {**wrapper, **(config.strategy.get('model_wrapper') or {})}
    else:
        config.model_wrapper_cfg = wrapper
    notes = ['no GPU here: distributed over CPU processes with gloo']
    if replace_sync_bn(config.model):
        notes.append('SyncBN works on GPUs alone: BN takes its place, each process for itself')
    return notes
