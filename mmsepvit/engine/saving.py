"""Checkpoints that a kill, a full disk or a failed step leaves whole, and that hold all of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce_params, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn

from ..checkpoints.read import first_not_finite
from ..checkpoints.start import STOPPED
from ..checkpoints.write import PART
from ..registry import HOOKS

_VALIDATED = 'last_validation'  # not 'val…', which mmengine would log as a metric


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, by which no checkpoint is lost.

    A checkpoint is written beside its place, flushed and renamed, and only then the oldest is removed; so are the best
    ones. One that is not finite is not written. A checkpoint holds, beyond mmengine's, gradients that are accumulated
    and not applied yet, and which validation was done: one that a kill has cut off is done again on resuming.

    Args:
        **options: Those of ``CheckpointHook``.
    """

    max_keep_ckpts: int
    keep_ckpt_ids: deque

    def __init__(self, **options: Any) -> None:
        remote = '://' in str(options.get('out_dir') or '')
        if not remote and not options.get('backend_args') and not options.get('file_client_args'):
            options['backend_args'] = {'backend': 'mmsepvit'}  # see checkpoints.write
        super().__init__(**options)
        self._replaced_best: dict[str, str | None] = {}
        self._saved_iter = -1
        self._gradients: dict[str, torch.Tensor] | None = None
        self._resuming = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if getattr(runner, '_resume', False):
            self._resuming = True
            self._gradients = checkpoint.get('gradients')

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids = deque(self.keep_ckpt_ids)  # mmengine's drops the oldest by itself
        # The best of another work directory is that one's, and a directory may have been moved.
        if self.save_best is not None:
            self._set_best(
                {
                    key: path and self.file_backend.join_path(self.out_dir, Path(path).name)
                    for key, path in self._best().items()
                }
            )
        if is_main_process() and Path(self.out_dir).is_dir():
            for part in Path(self.out_dir).glob(f'*.pth{PART}'):  # of a run that was killed while it wrote
                part.unlink()
        if self._resuming:
            self._resuming = False
            self._restore_gradients(runner)
            self._redo_validation(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if self._gradients and 'optimizer' in checkpoint:
            checkpoint['gradients'] = self._gradients

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        runner.message_hub.update_info(_VALIDATED, runner.iter)
        before = self._saved_iter
        self._saved_iter = -1
        super().after_val_epoch(runner, metrics or {})
        if self._saved_iter == -1 and before == runner.iter:  # mmengine saves again only where there is a new best
            step = runner.epoch if self.by_epoch else runner.iter
            self._save_checkpoint_with_step(runner, step, {'epoch': runner.epoch, 'iter': runner.iter})
        self._saved_iter = max(self._saved_iter, before)

    def save_stopped(self, runner: Runner, iteration: int) -> None:
        """Saves where no checkpoint is due, in the middle of an epoch or of a validation.

        Args:
            runner: The runner.
            iteration: Number of iterations that are done.
        """
        if self._saved_iter == iteration:
            return
        self._gather_gradients(runner)
        if self._is_refused(runner):
            return
        self.last_ckpt = self.file_backend.join_path(self.out_dir, STOPPED)
        with _gathered_state(runner):
            runner.save_checkpoint(
                self.out_dir,
                STOPPED,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta={'epoch': runner.epoch, 'iter': iteration},
                by_epoch=False,
                backend_args=self.backend_args,
            )
        if is_main_process():
            self._note(runner, self.last_ckpt)

    def _note(self, runner: Runner, path: str) -> None:
        (Path(runner.work_dir) / 'last_checkpoint').write_text(path)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._gather_gradients(runner)
        self._remove_replaced_best()
        if self._is_refused(runner):
            return
        keep = self.max_keep_ckpts
        self.max_keep_ckpts = keep + 1 if keep > 0 else keep  # so that mmengine removes nothing before it has saved
        try:
            with _gathered_state(runner):
                super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = keep
        self._saved_iter = meta['iter']
        while 0 < keep < len(self.keep_ckpt_ids):
            self._remove(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
        if keep > 0:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._remove(STOPPED)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best or self._is_refused(runner):
            return
        self._replaced_best = self._best()
        self._set_best(dict.fromkeys(self._replaced_best))  # what mmengine does not know, it does not remove
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self._remove_replaced_best()

    def _best(self) -> dict[str, str | None]:
        """Paths of the best checkpoints by their metrics. mmengine keeps a single one in another place."""
        if hasattr(self, 'best_ckpt_path_dict'):
            return dict(self.best_ckpt_path_dict)
        return {'': self.best_ckpt_path}

    def _set_best(self, paths: dict[str, str | None]) -> None:
        if hasattr(self, 'best_ckpt_path_dict'):
            self.best_ckpt_path_dict = paths
        else:
            self.best_ckpt_path = paths['']

    def _remove_replaced_best(self) -> None:
        """Removes best checkpoints for which there are better ones now.

        That is after the better one is written and before the state that names it: a kill between leaves no stray file.
        """
        replaced, self._replaced_best = self._replaced_best, {}
        if not replaced:
            return
        now = self._best()
        self._set_best({key: path or replaced.get(key) for key, path in now.items()})
        for key, path in replaced.items():
            if path and now.get(key) and path != now[key]:
                self._remove(Path(path).name)

    def _remove(self, name: str) -> None:
        if not is_main_process():
            return
        path = self.file_backend.join_path(self.out_dir, name)
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # a checkpoint of DeepSpeed
            self.file_backend.rmtree(path)

    def _is_refused(self, runner: Runner) -> bool:
        """Whether the state of now is one that nobody wants to go on from; the log says why."""
        if getattr(runner, 'failed_in_a_row', 0):
            runner.logger.warning('no checkpoint is saved after a step that failed')
            return True
        name = first_not_finite(_plain(runner.model).state_dict())
        if name is not None:
            runner.logger.warning(f'no checkpoint is saved: {name} is not finite')
        return name is not None

    def _gather_gradients(self, runner: Runner) -> None:
        """Takes gradients that are accumulated and not applied: the mean of all processes."""
        gradients = {
            name: parameter.grad.detach().clone()
            for name, parameter in _plain(runner.model).named_parameters()
            if parameter.grad is not None
        }
        if gradients:
            all_reduce_params(list(gradients.values()), op='mean')
        self._gradients = {name: gradient.cpu() for name, gradient in gradients.items()}

    def _restore_gradients(self, runner: Runner) -> None:
        parameters = dict(_plain(runner.model).named_parameters())
        for name, gradient in (self._gradients or {}).items():
            if name in parameters:
                parameters[name].grad = gradient.to(parameters[name])
        self._gradients = None

    def _redo_validation(self, runner: Runner) -> None:
        """Validates, where the checkpoint stands at a validation that was not done when it was written."""
        loop = runner.train_loop
        if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        if by_epoch and loop.iter != loop.epoch * len(loop.dataloader):
            return
        with suppress(AttributeError):
            loop._decide_current_val_interval()
        done, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        due = done >= max(loop.val_begin, 1) and (done % loop.val_interval == 0 or done == last)
        if not due or runner.message_hub.runtime_info.get(_VALIDATED) == runner.iter:
            return
        self._saved_iter = runner.iter
        self.last_ckpt = self.last_ckpt or runner.message_hub.runtime_info.get('last_ckpt')
        runner.logger.info('the checkpoint was saved before its validation, which is done now')
        runner.val_loop.run()


@contextmanager
def _gathered_state(runner: Runner) -> Iterator[None]:
    """Lets all processes gather the state of a sharded optimizer before one of them saves it.

    mmengine's ZeRO gathers it when its state is asked for, which a saving does in one process alone: that one would
    wait for the others for ever.
    """
    optimizer: Any = getattr(runner.optim_wrapper, 'optimizer', None)
    if not hasattr(optimizer, 'consolidate_state_dict'):
        yield
        return
    optimizer.consolidate_state_dict()
    optimizer.consolidate_state_dict = lambda *_, **__: None
    try:
        yield
    finally:
        del optimizer.consolidate_state_dict


def _plain(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
