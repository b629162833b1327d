from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from env_checkout import ROOT, Checkout


@pytest.fixture(scope='session')
def make_env() -> ModuleType:
    """The script as a module, for its pure functions."""
    spec = importlib.util.spec_from_file_location('make_env', ROOT / 'tools' / 'make_env.py')
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / 'project'
    for name in ('tools/make_env.py', 'setup.py', 'mmsepvit/version.py'):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / 'requirements', root / 'requirements')
    return Checkout(root)
