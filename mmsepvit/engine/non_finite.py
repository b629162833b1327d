"""Steps whose loss or gradient is not finite: left out, named, kept for a replay, and the end after a few in a row."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..checkpoints.write import write_whole
from ..errors import UserError
from ..registry import HOOKS

FOLDER = 'non_finite'
"""Folder of the work directory for batches that failed."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Leaves out steps whose gradient is not finite, and says what they were.

    A step that is left out changes nothing: no parameter, no state of the optimizer, no statistic of a BatchNorm. Steps
    that the scaler of fp16 leaves out are its own affair and not counted; a loss that is not finite is.

    The check costs one norm of the gradients and one wait for the device a step, which mmengine itself needs a moment
    later: it reads every loss after the step for the log.

    Args:
        stop_after: Number of failed iterations in a row after which the training ends. 1 ends it at once, None never.
            Defaults to 3.
        keep: Number of batches to keep for `tools/replay.py` in all, each with the weights, so as large as a
            checkpoint without the optimizer's state. Defaults to 3.
    """

    priority = 'HIGH'  # before what averages weights or saves them

    def __init__(self, stop_after: int | None = 3, keep: int = 3) -> None:
        self.stop_after = stop_after
        self.keep = keep
        self._skipped = False
        self._kept = 0
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._sharded = False

    def before_train(self, runner: Runner) -> None:
        wrapper = runner.optim_wrapper
        wrappers = list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        for each in wrappers:
            each.optimizer.register_step_pre_hook(self._before_step)
        # DistributedDataParallel gives all processes the same gradient, other wrappers each a part of it.
        self._sharded = get_world_size() > 1 and not isinstance(runner.model, DistributedDataParallel)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self._skipped = False
        self._buffers = [(b, b.clone()) for b in runner.model.buffers() if b.is_floating_point()]

    def _before_step(self, optimizer: Optimizer, *_: Any) -> None:
        """Takes the gradients away where one is not finite: a parameter without a gradient is left as it is."""
        gradients = [p.grad for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        if not gradients:
            return
        # The largest element, as squares of large gradients overflow.
        norms = [norm.float().to(gradients[0].device) for norm in torch._foreach_norm(gradients, math.inf)]
        finite = torch.stack(norms).max().isfinite()
        if self._sharded:
            finite = finite.float()
            all_reduce(finite, op='min')
        if not finite:
            optimizer.zero_grad(set_to_none=True)
            self._skipped = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        # mmengine has waited for these numbers already.
        numbers = {name: value for name, value in (outputs or {}).items() if _is_number(value)}
        values = {name: float(v.detach() if isinstance(v, Tensor) else v) for name, v in numbers.items()}
        terms = [name for name, value in values.items() if not math.isfinite(value)]
        if not terms and not self._skipped:
            runner.failed_in_a_row = 0
            return
        for buffer, before in self._buffers:
            buffer.copy_(before)
        # All processes leave out the same steps; a loss may fail in one of them alone.
        if self._skipped or get_world_size() == 1:
            runner.failed_in_a_row = getattr(runner, 'failed_in_a_row', 0) + 1
        if terms or is_main_process():
            what = ', '.join(f'{name} is {values[name]}' for name in terms) or 'the gradient is not finite'
            rate = ', '.join(f'{rate:.3g}' for rate in _rates(runner))
            images = ', '.join(image_files(data_batch)) or 'unknown'
            message = f'iteration {runner.iter + 1}: {what} (rate {rate}), so its step is left out; images: {images}'
            path = self._keep_batch(runner, data_batch, values)
            runner.logger.error(message + (f'; kept in {path}' if path else ''))
            self._message = (message, path)
        if self.stop_after is not None and getattr(runner, 'failed_in_a_row', 0) >= self.stop_after:
            self._stop(runner)

    def _stop(self, runner: Runner) -> None:
        message, path = getattr(self, '_message', ('a step of another process failed', None))
        replay = f'\nSee where it begins: python tools/replay.py {_config_file(runner)} {path}' if path else ''
        raise UserError(
            f'the training has failed {runner.failed_in_a_row} times in a row. {message}{replay}\n'
            'Checkpoints from before are whole: with a lower rate or optim_wrapper.clip_grad, go on with --resume.'
        )

    def _keep_batch(self, runner: Runner, data_batch: Any, values: dict[str, float]) -> str | None:
        if self._kept >= self.keep:
            return None
        self._kept += 1
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        path = Path(runner.work_dir) / FOLDER / f'iter_{runner.iter + 1}_rank_{get_rank()}.pth'
        buffer = io.BytesIO()
        meta = {'iter': runner.iter, 'epoch': runner.epoch, 'seed': runner.seed, 'rank': get_rank(), 'losses': values}
        torch.save({'state_dict': model.state_dict(), 'data_batch': data_batch, 'meta': meta}, buffer)
        try:
            write_whole(buffer.getvalue(), path)
        except UserError as error:  # a full disk must not hide why the step failed
            runner.logger.warning(str(error))
            return None
        return str(path)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, Tensor) and value.numel() == 1)


def _rates(runner: Runner) -> list[float]:
    rates = runner.optim_wrapper.get_lr()
    return sorted({rate for values in rates.values() for rate in values})


def _config_file(runner: Runner) -> str:
    name = Path(runner.cfg.filename).name if runner.cfg.filename else f'{runner.timestamp}.py'
    return str(Path(runner.work_dir) / name)


def image_files(batch: Any) -> Iterator[str]:
    """Files of the images of a batch of any package, as far as its samples know them."""
    if isinstance(batch, dict):
        for value in batch.values():
            yield from image_files(value)
    elif isinstance(batch, (list, tuple)):
        for value in batch:
            yield from image_files(value)
    elif getattr(batch, 'img_path', None):
        yield str(batch.img_path)
