"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from mmengine.config import Config
from yapf.yapflib import yapf_api

# The folder's own helper modules (golden rule, small runs) import by bare name: mmsegmentation 1.2.2
# installs a top-level package `tests`, which would shadow ours.
sys.path.insert(0, str(Path(__file__).parent))
# `dev`: the plain implementation, the benchmark and the swap matrix, which are no part of the package.
sys.path.insert(1, str(Path(__file__).parents[1] / 'tools'))

if 'PYTEST_XDIST_WORKER' in os.environ:  # the workers share the cores, and so does what they start
    os.environ['OMP_NUM_THREADS'] = '1'
    torch.set_num_threads(1)

# The same examples in every run, so that a red CI is red for everybody; no deadline, which would measure the machine.
settings.register_profile('mmsepvit', deadline=None, derandomize=True)
settings.load_profile('mmsepvit')


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent


@pytest.fixture(scope='session')
def mini_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds ``data/mini``, made once a session; the working directory of what trains on it."""
    from mmsepvit.datasets.mini import ensure_mini_data

    root = tmp_path_factory.mktemp('mini')
    ensure_mini_data(root / 'data' / 'mini')
    return root


@pytest.fixture(scope='session', autouse=True)
def _each_config_text_is_formatted_once() -> Iterator[None]:
    """mmengine formats the same text in every checkpoint and log of a run: two thirds of the time of a short one."""
    done: dict[str, Any] = {}
    original = yapf_api.FormatCode

    def formatted(text: str, **style: Any) -> Any:
        if text not in done:
            done[text] = original(text, **style)
        return done[text]

    with pytest.MonkeyPatch.context() as patch:
        for module in (yapf_api, sys.modules[Config.__module__]):  # onedl-mmengine imports it when it is needed
            if hasattr(module, 'FormatCode'):
                patch.setattr(module, 'FormatCode', formatted)
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
