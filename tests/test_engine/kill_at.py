"""Hooks for the tests of long runs, imported by trainings through ``custom_imports``."""

from __future__ import annotations

import os
import signal
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmsepvit.datasets.naming import DataError


@HOOKS.register_module(force=True)
class SignalAt(Hook):
    """Sends this process a signal before a training iteration or in a validation.

    Args:
        iteration: Number of training iterations that are done then.
        name: The signal. Defaults to SIGKILL, as a lost machine would end it.
        stage: 'train', 'val' for the first batch of a validation, or 'validated' for its end. Defaults to 'train'.
        rank: Rank of the process to send it in. Defaults to 0.
    """

    priority = 'HIGHEST'

    def __init__(self, iteration: int, name: str = 'SIGKILL', stage: str = 'train', rank: int = 0) -> None:
        self.iteration, self.name, self.stage, self.rank = iteration, name, stage, rank

    def _send(self, runner: Runner, stage: str) -> None:
        if stage == self.stage and runner.iter == self.iteration and runner.rank == self.rank:
            os.kill(os.getpid(), getattr(signal, self.name))

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        self._send(runner, 'train')

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self._send(runner, 'val')

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        self._send(runner, 'validated')


@HOOKS.register_module(force=True)
class RaiseAt(Hook):
    """Raises the error of an image before a training iteration of one process."""

    def __init__(self, iteration: int, rank: int) -> None:
        self.iteration, self.rank = iteration, rank

    def before_train_iter(self, runner: Runner, **_: Any) -> None:
        if (runner.iter, runner.rank) == (self.iteration, self.rank):
            raise DataError('image x cannot be read')


@HOOKS.register_module(force=True)
class SpoilAt(Hook):
    """Makes images NaN, or a parameter's gradient, in some training iterations."""

    priority = 'HIGHEST'

    def __init__(self, iterations: tuple[int, ...], what: str = 'images') -> None:
        self.iterations, self.what = tuple(iterations), what

    def before_train(self, runner: Runner) -> None:
        if self.what == 'gradient':
            parameter = next(p for p in runner.model.parameters() if p.requires_grad)
            parameter.register_hook(lambda g: g * float('nan') if runner.iter in self.iterations else g)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if self.what == 'images' and runner.iter in self.iterations:
            data_batch['inputs'] = [torch.full_like(image.float(), float('nan')) for image in data_batch['inputs']]
