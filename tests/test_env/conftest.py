from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from env_checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path, repo_root: Path) -> Checkout:
    root = tmp_path / 'a project'
    root.mkdir()
    for name in ('Makefile', 'pyproject.toml', 'setup.py', 'mmsepvit/version.py', 'requirements'):
        (root / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (repo_root / name).is_dir() else shutil.copy)(repo_root / name, root / name)
    return Checkout(root, os.pathsep.join([str(repo_root / '.uv' / 'bin'), os.environ['PATH']]))


@pytest.fixture
def needs_uv(checkout: Checkout) -> None:
    if shutil.which('uv', path=checkout.path) is None:
        pytest.skip('no uv here: `make env` puts one into .uv')
