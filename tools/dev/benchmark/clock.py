"""Time and memory of a device."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_STATUS, _CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')


class Clock:
    """Times functions on a device and measures the most memory that they take.

    Args:
        device: 'cpu' or 'cuda'.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.op_repeats = 20 if device == 'cuda' else 1  # one kernel of a GPU is shorter than its launch

    def synchronize(self) -> None:
        """Waits for what the device has still to do."""
        if self.device == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, function: Callable[[], Any], repeats: int = 1) -> float:
        """Seconds of one call, the mean of ``repeats`` in a row."""
        self.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        self.synchronize()
        return (time.perf_counter() - start) / repeats

    def peak_bytes(self, function: Callable[[], Any]) -> int | None:
        """The most memory that a call takes on top of what is taken before it.

        On a GPU, of tensors; on a CPU, of the process (Linux alone, else None).
        """
        if self.device == 'cuda':
            self.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            function()
            self.synchronize()
            return torch.cuda.max_memory_allocated() - before
        try:
            ctypes.CDLL(None).malloc_trim(0)  # else the call takes what others have left
            _CLEAR.write_text('5')  # sets the high-water mark back
        except (AttributeError, OSError):
            return None
        before = _status_bytes('VmRSS')
        function()
        return max(0, _status_bytes('VmHWM') - before)


def _status_bytes(key: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f'{key}:'))
    return int(line.split()[1]) * 1024
