"""Fixtures that several test folders share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

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


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
