"""mmengine's early stopping, whose count of validations without a better score a resumed run goes on with."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class ResumedEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's ``EarlyStoppingHook``, with its count and best score in the checkpoints.

    A run that has ended so ends at once when it is resumed, unless the config now asks for more patience.

    Args:
        **options: Those of ``EarlyStoppingHook``.
    """

    priority = 'LOW'  # before the checkpoint that is saved after a validation

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._key = f'early_stopping/{self.monitor}'

    def before_train(self, runner: Runner) -> None:
        reached = runner.message_hub.runtime_info.get(self._key)
        if reached is None:
            return
        self.wait_count, self.best_score = reached['wait_count'], reached['best_score']
        enough = self.stopping_threshold is not None and self.rule_map[self.rule](
            self.best_score, self.stopping_threshold
        )
        if enough or self.wait_count >= self.patience:
            runner.logger.info(f'early stopping by {self.monitor} has ended this training before')
            runner.train_loop.stop_training = True

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics or {})
        runner.message_hub.update_info(self._key, {'wait_count': self.wait_count, 'best_score': float(self.best_score)})
