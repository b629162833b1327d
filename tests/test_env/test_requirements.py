"""The locks: what the requirements files ask for, whole, for every Python that a stack is for."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The contract's versions, written from it and not from the requirements files.
CONTRACT = {
    'openmmlab': 'mmengine==0.10.7 mmcv==2.1.0 mmdet==3.3.0 mmsegmentation==1.2.2 mmpretrain==1.2.0 '
    'torch==2.1.2 torchvision==0.16.2',
    'onedl': 'onedl-mmengine==0.10.12 onedl-mmcv==2.3.6 onedl-mmdetection==3.5.1 onedl-mmsegmentation==1.4.2 '
    'onedl-mmpretrain==1.3.6 torch==2.11.0 torchvision==0.26.0',
}
LOCKS = {
    'openmmlab': (('openmmlab', 'export', 'test'), ('3.9', '3.10', '3.11')),
    'onedl': (('onedl', 'export', 'test'), ('3.10', '3.11', '3.12')),
    'lint': (('lint',), ('3.11', '3.12')),
    'docs': (('docs',), ('3.11', '3.12')),
    'uv': (('uv',), ('3.8', '3.12')),
}


def requirements(text: str) -> list[Requirement]:
    lines = (line.partition(' #')[0].rstrip('\\ ') for line in text.splitlines())
    return [Requirement(line) for line in lines if re.match(r'[a-zA-Z]', line)]


def locked(text: str, python: str) -> dict[str, str]:
    """Returns the versions that a lock has for a Python on Linux."""
    machine = {
        'python_version': python,
        'python_full_version': f'{python}.0',
        'sys_platform': 'linux',
        'platform_system': 'Linux',
        'platform_machine': 'x86_64',
        'os_name': 'posix',
    }
    chosen = [each for each in requirements(text) if each.marker is None or each.marker.evaluate(machine)]
    versions = {each.name.lower(): str(each.specifier) for each in chosen}
    assert len(versions) == len(chosen), 'two versions of a package'
    return versions


@pytest.fixture(params=LOCKS)
def lock(request: pytest.FixtureRequest, repo_root: Path) -> tuple[str, str]:
    return request.param, (repo_root / 'requirements' / f'{request.param}.lock').read_text()


def test_a_lock_has_what_is_asked_for_on_every_python(lock: tuple[str, str], repo_root: Path) -> None:
    name, text = lock
    groups, pythons = LOCKS[name]
    asked = [each for group in groups for each in requirements((repo_root / f'requirements/{group}.in').read_text())]
    assert asked
    for python in pythons:
        versions = locked(text, python)
        for each in asked:
            assert versions[each.name.lower()] == str(each.specifier), (each, python)


def test_a_lock_pins_by_hash_and_names_no_index(lock: tuple[str, str]) -> None:
    _, text = lock
    entries = re.split(r'\n(?=[a-z])', text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r'[a-z0-9._-]+==\S+', entry), entry
        assert '--hash=sha256:' in entry, entry
    assert '://' not in text
    assert 'index' not in re.findall(r'^--?(\S+)', text, re.MULTILINE)


@pytest.mark.parametrize('stack', CONTRACT)
def test_the_stacks_are_the_contracts(stack: str, repo_root: Path) -> None:
    text = (repo_root / 'requirements' / f'{stack}.lock').read_text()
    for python in LOCKS[stack][1]:
        versions = locked(text, python)
        for each in CONTRACT[stack].split():
            name, version = each.split('==')
            assert versions[name] == f'=={version}'
        assert versions['setuptools'] == '==80.9.0'  # mmengine and mmcv's build import pkg_resources
        assert versions['numpy'].startswith('==1.' if stack == 'openmmlab' else '==2.')


@pytest.mark.parametrize(('stack', 'mmcv'), [('openmmlab', 'mmcv'), ('onedl', 'onedl-mmcv')])
def test_mmcv_is_built_with_the_torch_that_it_runs_with(stack: str, mmcv: str, repo_root: Path) -> None:
    settings = tomllib.loads((repo_root / 'pyproject.toml').read_text())['tool']['uv']
    text = (repo_root / 'requirements' / f'{stack}.lock').read_text()
    with_versions = dict(each.split('==') for each in settings['extra-build-dependencies'][mmcv])
    versions = locked(text, '3.11')
    for name in ('torch', 'numpy', 'setuptools'):
        assert versions[name] == f'=={with_versions[name]}'
    described = {each['name']: each['version'] for each in settings['dependency-metadata']}
    assert versions[mmcv] == f'=={described[mmcv]}'


def test_the_uv_that_make_fetches_is_one_that_the_project_takes(repo_root: Path) -> None:
    required = tomllib.loads((repo_root / 'pyproject.toml').read_text())['tool']['uv']['required-version']
    version = locked((repo_root / 'requirements' / 'uv.lock').read_text(), '3.11')['uv']
    assert Requirement(f'uv{required}').specifier.contains(version.lstrip('='))
