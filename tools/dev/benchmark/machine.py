"""On what a result was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'mmpretrain')
_ONEDL = {'mmdet': 'onedl-mmdetection'}


def describe_machine(device: str) -> dict[str, Any]:
    """The machine, the versions and the threads.

    ``load`` is the mean number of running processes in the last minute before: more than the benchmark's own threads
    means that the times are not good.
    """
    return {
        'time': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'cpu': _cpu(),
        'cores': os.cpu_count(),
        'gpu': torch.cuda.get_device_name() if device == 'cuda' else None,
        'device': device,
        'threads': torch.get_num_threads(),
        'load': round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None,
        'system': platform.platform(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'packages': {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _cpu() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    for name in (package, _ONEDL.get(package, f'onedl-{package}')):
        try:
            return f'{name} {importlib.metadata.version(name)}'
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
