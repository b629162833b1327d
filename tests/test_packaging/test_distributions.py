"""Wheel and sdist: exactly what belongs there."""

from __future__ import annotations

import email
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from package_install import build
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def modules() -> set[str]:
    """The package's modules, and the weights that it carries with their cards."""
    package = ROOT / 'mmsepvit'
    files = {path for path in package.rglob('*.py') if '.mim' not in path.parts} | set(package.glob('weights/*'))
    return {path.relative_to(ROOT).as_posix() for path in files}


def shipped() -> set[str]:
    """The files outside the package that mim and readers of configs need."""
    configs = {path for pattern in ('*.py', '*.yml', '*.md') for path in (ROOT / 'configs').rglob(pattern)}
    tools = {path for pattern in ('*.py', '*.sh') for path in (ROOT / 'tools').glob(pattern)}
    names = {path.relative_to(ROOT).as_posix() for path in configs | tools} | {'model-index.yml'}
    # Of use in a checkout only, as is the whole of tools/dev.
    return names - {'tools/benchmark.py', 'tools/swap_matrix.py'}


@pytest.fixture(scope='session')
def wheel_files(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info for info in archive.infolist()}


def test_wheel_holds_the_package_and_mims_files_and_nothing_else(wheel_files: dict[str, zipfile.ZipInfo]) -> None:
    info = re.compile(r'mmsepvit-0\.1\.0\.dist-info/(METADATA|WHEEL|RECORD|top_level\.txt|licenses/LICENSE)')
    held = {name for name in wheel_files if not info.fullmatch(name)}
    assert held == modules() | {f'mmsepvit/.mim/{name}' for name in shipped()}


def test_wheel_holds_the_files_as_they_are(source: Path, wheel: Path, wheel_files: dict[str, zipfile.ZipInfo]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in modules():
            assert archive.read(name) == (source / name).read_bytes(), name
        for name in shipped():
            assert archive.read(f'mmsepvit/.mim/{name}') == (source / name).read_bytes(), name
    # Launchers stay programs.
    for name in ('dist_train.sh', 'dist_test.sh'):
        assert wheel_files[f'mmsepvit/.mim/tools/{name}'].external_attr >> 16 & 0o111, name


def test_sdist_holds_what_builds_the_wheel_and_nothing_else(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {member.name.partition('/')[2] for member in archive if not member.isdir()}
    metadata = {name for name in held if name.startswith('mmsepvit.egg-info/')} | {'PKG-INFO', 'setup.cfg'}
    sources = {'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'}
    extras = {f'requirements/{name}.in' for name in ('openmmlab', 'onedl', 'export', 'test', 'web')}
    assert held - metadata == modules() | shipped() | sources | extras


def test_wheel_of_the_sdist_is_the_same(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    again = build(next(tmp_path.iterdir()), 'wheel')
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {info.filename: info.CRC for info in one.infolist() if not info.filename.endswith('RECORD')} == {
            info.filename: info.CRC for info in other.infolist() if not info.filename.endswith('RECORD')
        }


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read('mmsepvit-0.1.0.dist-info/METADATA'))
    assert metadata['Name'] == 'mmsepvit'
    assert metadata['Version'] == '0.1.0'
    assert metadata['Requires-Python'] == '>=3.9'
    assert metadata['License'] == 'Apache-2.0'
    assert sorted(metadata.get_all('Provides-Extra')) == ['export', 'onedl', 'openmmlab', 'test', 'web']
    requirements = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    # Either family's packages would overwrite the other's.
    assert {str(requirement) for requirement in requirements if requirement.marker is None} == {'torch', 'numpy'}
    for extra, package in (('openmmlab', 'mmcv==2.1.0'), ('onedl', 'onedl-mmcv==2.3.6'), ('test', 'pytest==8.4.2')):
        chosen = {
            f'{requirement.name}{requirement.specifier}'
            for requirement in requirements
            if requirement.marker is not None and requirement.marker.evaluate({'extra': extra})
        }
        lines = (ROOT / 'requirements' / f'{extra}.in').read_text().splitlines()
        assert chosen == {line for line in lines if line and not line.startswith('#')}
        assert package in chosen
