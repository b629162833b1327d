"""Going on where a checkpoint stands: also in the middle of an epoch, and on a schedule that was changed since."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import DATA_SAMPLERS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import BatchSampler

from ..errors import UserError

_PROGRESS = ('last_step', '_global_step', '_last_value', 'base_values', 'verbose')
"""What a scheduler has reached; all else in its state is what the config asked for."""


_LIKE_PARAMETERS = frozenset({'exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer'})
"""What torch's usual optimizers keep in the shape of a parameter."""


class AlreadyAdvanced:
    """A data iterator that stands at the right place, so that the loop's skipping must do nothing.

    Args:
        iterator: The loop's own iterator.
        steps: Number of batches that the loop is going to skip.
    """

    def __init__(self, iterator: Any, steps: int) -> None:
        self._iterator = iterator
        self._steps = steps

    def __iter__(self) -> AlreadyAdvanced:
        return self

    def __next__(self) -> Any:
        if self._steps > 0:  # mmengine 0.10.7 skips by loading
            self._steps -= 1
            return None
        return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """onedl-mmengine skips through this method."""
        self._steps -= num_iters


class RestOfEpoch:
    """A batch sampler without the first batches of its first epoch, which are drawn but not loaded.

    Args:
        batches: Config of the batch sampler.
        skip: Number of batches to leave out.
        sampler: The sampler of its indices.
        batch_size: Its batch size.
    """

    def __init__(self, batches: dict, skip: int, sampler: Sized, batch_size: int) -> None:
        self.batches = DATA_SAMPLERS.build(batches, default_args={'sampler': sampler, 'batch_size': batch_size})
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = getattr(self.batches, 'drop_last', False)
        self._skip = skip

    def __iter__(self) -> Iterator[list[int]]:
        skip, self._skip = self._skip, 0
        yield from islice(self.batches, skip, None)

    def __len__(self) -> int:
        return len(self.batches)  # of a whole epoch, by which schedules are counted


def without_first_batches(dataloader: dict, skip: int) -> dict:
    """The config of a dataloader that leaves out the first batches of its first epoch.

    Args:
        dataloader: The config.
        skip: Number of batches.
    """
    dataloader = dict(dataloader)
    drop_last = dataloader.pop('drop_last', False)
    batches = dataloader.get('batch_sampler') or {'type': BatchSampler, 'drop_last': drop_last}
    return {**dataloader, 'batch_sampler': {'type': RestOfEpoch, 'batches': batches, 'skip': skip}}


def count_from(loop: EpochBasedTrainLoop, first: int) -> None:
    """Lets a loop number the batches of its first epoch from another number than 0 on, as logs and hooks count them."""
    plain, epoch = loop.run_iter, loop._epoch

    def run_iter(idx: int, data_batch: Any) -> None:
        plain(idx + first if loop._epoch == epoch else idx, data_batch)

    loop.run_iter = run_iter


class Plan:
    """What the config asks for of optimizer and schedulers, which a checkpoint overwrites on resuming.

    Args:
        runner: A runner whose optimizer and schedulers are built and have not been resumed.
    """

    def __init__(self, runner: Runner) -> None:
        self._groups = [_plain(group) for group in _optimizer(runner).param_groups] if _optimizer(runner) else None
        self._schedulers = [copy.copy(each.state_dict()) for each in _schedulers(runner)]

    def changes(self, runner: Runner, schedulers_then: list[dict] | None) -> list[str]:
        """What differs between the config and a resumed runner, a line each.

        Args:
            runner: The runner, resumed.
            schedulers_then: States of the schedulers in the checkpoint.
        """
        if self._groups is None:
            return []
        then = schedulers_then or []
        found = []
        if len(then) != len(self._schedulers):
            found.append(f'{len(then)} schedulers then, {len(self._schedulers)} now')
        for number, (old, new) in enumerate(zip(then, self._schedulers)):
            found += [
                f'param_scheduler.{number}.{key} was {old.get(key)!r}, is {value!r}'
                for key, value in new.items()
                if key not in _PROGRESS and not _is_state_of_plateau(key) and old.get(key) != value
            ]
        names = {state['param_name'] for state in self._schedulers}
        scheduled = {*names, *(f'initial_{name}' for name in names)}
        for key in self._groups[0]:
            olds = [group.get(key) for group in _optimizer(runner).param_groups]
            news = [group.get(key) for group in self._groups]
            if olds != news and (key not in scheduled or key.startswith('initial_')):
                found.append(f'optimizer.{key.removeprefix("initial_")} was {_short(olds)}, is {_short(news)}')
        return found

    def follow(self, runner: Runner) -> None:
        """Sets optimizer and schedulers to where this plan is after the iterations that are done.

        Args:
            runner: The runner, resumed.

        Raises:
            UserError: A scheduler goes by metrics, whose past a checkpoint does not hold.
        """
        optimizer, schedulers = _optimizer(runner), _schedulers(runner)
        if any(getattr(each, 'need_val_args', False) for each in schedulers):
            raise UserError(
                '--resume: the schedule of the config is not the one of the checkpoint, and a scheduler goes by '
                'metrics, so where the new one would stand is not known.\n'
                'Put the schedule back, or begin a new training from the weights: --cfg-options load_from=…'
            )
        for group, planned in zip(optimizer.param_groups, self._groups or []):
            group.update(planned)
        for each, state in zip(schedulers, self._schedulers):
            each.load_state_dict(copy.copy(state))
        # One group for all that are alike: there is one a parameter, and the schedulers step through the whole past.
        groups = optimizer.param_groups
        kinds = [tuple((each.param_name, each.base_values[i]) for each in schedulers) for i in range(len(groups))]
        first = {kind: kinds.index(kind) for kind in dict.fromkeys(kinds)}
        place = {kind: number for number, kind in enumerate(first)}
        optimizer.param_groups = [groups[i] for i in first.values()]
        for each in schedulers:
            each.base_values = [each.base_values[i] for i in first.values()]
        try:
            _step_through(schedulers, runner.iter, runner.epoch)
        finally:
            optimizer.param_groups = groups
        for each in schedulers:
            each.base_values = [each.base_values[place[kind]] for kind in kinds]
            each._last_value = [each._last_value[place[kind]] for kind in kinds]
            for group, kind in zip(groups, kinds):
                group[each.param_name] = groups[first[kind]][each.param_name]


def check_shapes(runner: Runner) -> None:
    """Checks that a resumed optimizer's averages have the shapes of their parameters, which torch does not.

    They have others where the model has its parameters in another order than then.

    Args:
        runner: The runner, resumed.

    Raises:
        ValueError: They have not.
    """
    optimizer = _optimizer(runner)
    for parameter, state in optimizer.state.items() if optimizer else ():
        for name in _LIKE_PARAMETERS & (state or {}).keys():  # None of a parameter that ZeRO has in another process
            average = state[name]
            if average is not None and average.shape != parameter.shape:
                raise ValueError(f'{name} of shape {tuple(average.shape)} for a parameter {tuple(parameter.shape)}')


def _step_through(schedulers: list[Any], iterations: int, epochs: int) -> None:
    """Steps as mmengine's ``ParamSchedulerHook`` does in a training."""
    length = iterations // epochs if epochs else 0
    for done in range(1, iterations + 1):
        for each in schedulers:
            if not each.by_epoch:
                each.step()
        if length and done % length == 0 and done // length <= epochs:
            for each in schedulers:
                if each.by_epoch:
                    each.step()


def _optimizer(runner: Runner) -> Any:
    """The optimizer, None where there are several: their schedules are left as the checkpoint has them."""
    return runner.optim_wrapper.optimizer if isinstance(runner.optim_wrapper, OptimWrapper) else None


def _schedulers(runner: Runner) -> list[Any]:
    return runner.param_schedulers if isinstance(runner.param_schedulers, list) else []


def _plain(group: dict) -> dict:
    return {key: value for key, value in group.items() if key != 'params'}


def _is_state_of_plateau(key: str) -> bool:
    return key in ('best', 'num_bad_epochs', 'cooldown_counter')


def _short(values: list) -> str:
    kinds = list(dict.fromkeys(map(str, values)))
    return ', '.join(kinds[:3]) + (', …' if len(kinds) > 3 else '')
