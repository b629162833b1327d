"""Samples that are left out of a run: a list that all its processes share, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.naming import DataError

WHY = ': '
"""What stands between a sample's files and what is wrong with it."""


class LeftOut:
    """The samples that are left out, in a file that worker processes and ranks share.

    Args:
        path: The file; a line is a sample.
        limit: How many samples may be left out.
    """

    def __init__(self, path: str | Path, limit: int) -> None:
        self.path = Path(path)
        self.limit = limit

    def lines(self) -> dict[str, str]:
        """What was left out, in order: the sample, and the line that says why."""
        lines = self.path.read_text(encoding='utf-8').splitlines() if self.path.exists() else []
        found: dict[str, str] = {}
        for line in lines:  # two processes may have met the same one at once, and say different addresses
            found.setdefault(line.partition(WHY)[0], line)
        return found

    def add(self, error: DataError) -> None:
        """Leaves the sample of an error out.

        Raises:
            DataError: As many as may be left out are.
        """
        line = str(error).splitlines()[0]
        known = self.lines()
        if line.partition(WHY)[0] in known:
            return
        if len(known) >= self.limit:
            raise DataError(f'{line}\n--skip-bad {self.limit}: {len(known)} were left out before, see {self.path}.')
        with self.path.open('a', encoding='utf-8') as file:
            file.write(f'{line}\n')


class NonEmptyBatches:
    """A dataloader without the batches of which every sample was left out.

    Args:
        loader: The dataloader, whose everything else it has.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator:
        return (batch for batch in self.loader if batch is not None)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == 'loader':  # as in GuardedDataset
            raise AttributeError(name)
        return getattr(self.loader, name)


class LeftOutHook(Hook):
    """Logs every sample that is left out, once, and their number at the end.

    Args:
        left_out: Where they are noted.
    """

    def __init__(self, left_out: LeftOut) -> None:
        self.left_out = left_out
        self._size = 0
        self._count = 0

    def _after_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        size = self.left_out.path.stat().st_size if self.left_out.path.exists() else 0
        if size == self._size:
            return
        self._size = size
        lines = list(self.left_out.lines().values())
        for line in lines[self._count :]:
            runner.logger.warning(f'left out: {line}')
        self._count = len(lines)

    def after_run(self, runner: Runner) -> None:
        self._after_iter(runner)
        if self._count:
            runner.logger.warning(f'--skip-bad: {self._count} samples were left out, see {self.left_out.path}')
