"""Stopping a training by a signal: it finishes the iteration, saves and ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import torch
from mmengine.dataset import worker_init_fn
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from ..registry import HOOKS
from .saving import SafeCheckpointHook

SIGNALS = ('SIGTERM', 'SIGUSR1', 'SIGINT')
"""Slurm's and torchrun's preemption, Slurm's warning before the time is over (``--signal=USR1@60``), and Ctrl-C."""

_ONE_KEYPRESS = 1.0
"""Seconds in which several interrupts are one: torchrun passes on what the terminal sends to all processes anyway."""

_WORKER_GRACE = 30
"""Seconds that a data loading process lives on after Slurm has told all processes of a job to end."""


class TrainingStopped(SystemExit):
    """The training was told to stop and has saved its state.

    A `SystemExit`, as it is no error: whoever does not handle it ends with its exit code, 128 and the signal's number.

    Attributes:
        signal: The signal.
        iteration: Number of iterations that are done.
    """

    def __init__(self, received: signal.Signals, iteration: int) -> None:
        super().__init__(128 + received)
        self.signal = received
        self.iteration = iteration

    def __str__(self) -> str:
        return (
            f'stopped by {self.signal.name} after iteration {self.iteration}; go on with the same command and --resume'
        )


class StopRequest:
    """Remembers the first signal that asks a training to stop. A second Ctrl-C ends the process at once."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._process = os.getpid()
        self._first = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles signals meanwhile."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
            return
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a process that was forked from the one that trains
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        if self.received is None:
            self.received, self._first = signal.Signals(number), now
        elif number == signal.SIGINT and now - self._first > _ONE_KEYPRESS:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(self._process, signal.SIGINT)


@FUNCTIONS.register_module()
def let_parent_decide(worker_id: int, then: Callable[[int], Any] | None = None) -> None:
    """What a data loading process begins with: signals that stop a training are the business of its parent.

    Slurm and terminals send them to all processes of a job. The batch is finished, and the parent ends this process.

    Args:
        worker_id: Number of the process.
        then: What else it begins with. Defaults to nothing.
    """

    def leave(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the next one counts
        signal.alarm(_WORKER_GRACE)

    for name in SIGNALS:
        signal.signal(getattr(signal, name), leave if name == 'SIGTERM' else signal.SIG_IGN)
    if then is not None:
        then(worker_id)


def with_patient_workers(dataloader: dict, seed: int) -> dict:
    """The config of a dataloader whose processes begin with `let_parent_decide`, and then with what they begin anyway.

    Args:
        dataloader: The config.
        seed: Seed of the run.
    """
    dataloader = dict(dataloader)
    quiet = dataloader.pop('disable_subprocess_warning', False)
    asked = dataloader.get('worker_init_fn')
    if asked is None:  # mmengine's default
        workers = dataloader.get('num_workers', 0)
        then = partial(
            worker_init_fn, num_workers=workers, rank=get_rank(), seed=seed, disable_subprocess_warning=quiet
        )
    else:
        options = dict(asked)
        kind = options.pop('type')
        then = partial(FUNCTIONS.get(kind) if isinstance(kind, str) else kind, **options)
    # By its name, as mmengine's FlexibleRunner takes no function.
    return {**dataloader, 'worker_init_fn': {'type': let_parent_decide.__name__, 'then': then}}


class _Averages:
    """Knows whether the averaged weights of an ``EMAHook`` are in the model's place, as they are in a validation.

    mmpretrain's own hook may validate both kinds of weights, one after the other.

    Args:
        hook: The hook.
    """

    def __init__(self, hook: EMAHook) -> None:
        self._in_place = False
        self._swap = hook._swap_ema_parameters
        hook._swap_ema_parameters = self._swap_and_note

    def _swap_and_note(self) -> None:
        self._swap()
        self._in_place = not self._in_place

    def take_out(self) -> None:
        """Puts the trained weights back."""
        if self._in_place:
            self._swap_and_note()


@HOOKS.register_module()
class StopHook(Hook):
    """Ends a training between two iterations when a `StopRequest` has been received by any process.

    Args:
        request: The request.
    """

    priority = 'LOWEST'  # after the checkpoint that may be due

    def __init__(self, request: StopRequest) -> None:
        self.request = request

    def before_run(self, runner: Runner) -> None:
        self._averages = [_Averages(hook) for hook in runner.hooks if isinstance(hook, EMAHook)]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        received = self._received_by_any()
        if received:
            self._stop(runner, received, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        # Processes validate different numbers of images, so each listens for itself here.
        if self.request.received and runner.train_loop.iter:
            for averages in self._averages:
                averages.take_out()
            self._stop(runner, self.request.received, runner.iter)

    def _received_by_any(self) -> signal.Signals | None:
        number = torch.tensor(int(self.request.received or 0))
        if get_world_size() > 1:  # all must stop after the same iteration
            all_reduce(number, op='max')
        return signal.Signals(int(number)) if number else None

    def _stop(self, runner: Runner, received: signal.Signals, iteration: int) -> None:
        for hook in runner.hooks:
            if isinstance(hook, SafeCheckpointHook):
                hook.save_stopped(runner, iteration)
        raise TrainingStopped(received, iteration)
