from __future__ import annotations

from pathlib import Path

import pytest
from package_install import Environment, build, copy_tree, make_environment


@pytest.fixture(scope='session')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp('source') / 'mmsepvit')


@pytest.fixture(scope='session')
def sdist(source: Path) -> Path:
    return build(source, 'sdist')


@pytest.fixture(scope='session')
def wheel(source: Path) -> Path:
    return build(source, 'wheel')


@pytest.fixture(scope='session')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the built wheel in it."""
    folder = tmp_path_factory.mktemp('installed')
    environment = make_environment(folder / 'env')
    environment.pip_install(wheel, cwd=folder)
    return environment
