"""What drawing predictions needs beyond the packages' own hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class FirstViewHook(Hook):
    """Leaves the first view of each image in a batch of test-time augmentation, once it has been predicted.

    mmpretrain's ``VisualizationHook`` draws on the images of the batch, of which it expects one for each prediction.
    """

    priority = 'ABOVE_NORMAL'  # before that hook

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None, outputs: Sequence | None = None
    ) -> None:
        if data_batch is not None:
            data_batch['inputs'] = data_batch['inputs'][0]
