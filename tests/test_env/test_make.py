"""``make``: which environment it builds, when it builds it again, and what it says where something is missing."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from env_checkout import STACK, Checkout

FOLDER = {'openmmlab': '.venv', 'onedl': '.venv-onedl'}[STACK]


def fake_python(folder: Path, version: str) -> Path:
    """Writes a program that passes for a Python of some version: it answers for the part that the Makefile runs."""
    major_minor = ', '.join(version.split('.'))
    path = folder / f'python-of-{version}'
    code = f'import sys; sys.version_info = ({major_minor}); exec(sys.argv[1])'
    path.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{code}" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(('version', 'env'), [('3.9', '.venv'), ('3.11', '.venv'), ('3.12', '.venv-onedl')])
def test_the_python_decides_the_stack(checkout: Checkout, tmp_path: Path, version: str, env: str) -> None:
    python = fake_python(tmp_path, version)
    for arguments in ((f'PYTHON={python}',), (f'PYTHON={python}', 'STACK=')):
        lines = checkout.make('--dry-run', 'test', *arguments).stdout.splitlines()
        assert f'"{checkout.root}/{env}"' in lines[-1]
    # A stack that is named is taken at its word.
    lines = checkout.make('--dry-run', 'test', f'PYTHON={python}', 'STACK=openmmlab').stdout.splitlines()
    assert f'"{checkout.root}/.venv"' in lines[-1]


def test_an_unknown_stack_is_refused(checkout: Checkout) -> None:
    result = checkout.make('test', 'STACK=mmlab')
    assert result.returncode == 2
    assert 'unknown STACK=mmlab: there are openmmlab and onedl' in result.stderr


def test_what_is_passed_on_to_pytest(checkout: Checkout) -> None:
    lines = checkout.make('--dry-run', 'test', 'PYTEST_ARGS=-k "a or b" -n 0').stdout.splitlines()
    assert lines[-1].endswith('python -m pytest -k "a or b" -n 0')


def wheel(folder: Path, version: str) -> None:
    """Writes a wheel of a package that says its version."""
    info = f'stub-{version}.dist-info'
    files = {
        'stub.py': f'version = {version!r}\n',
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: stub\nVersion: {version}\n',
        f'{info}/WHEEL': 'Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    }
    files[f'{info}/RECORD'] = ''.join(f'{name},,\n' for name in [*files, f'{info}/RECORD'])
    with zipfile.ZipFile(folder / f'stub-{version}-py3-none-any.whl', 'w') as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@pytest.mark.usefixtures('needs_uv')
def test_life_of_an_environment(checkout: Checkout, tmp_path: Path) -> None:
    arguments = ('env', f'STACK={STACK}', f'PYTHON={sys.executable}')
    offline = {'UV_NO_INDEX': '1', 'UV_FIND_LINKS': str(tmp_path)}
    wheel(tmp_path, '1.0')
    wheel(tmp_path, '2.0')
    lock = checkout.root / 'requirements' / f'{STACK}.lock'

    def installed() -> str:
        return next((checkout.root / FOLDER).glob('lib/python*/site-packages/stub.py')).read_text()

    lock.write_text('stub==1.0\n')
    first = checkout.make(*arguments, **offline)
    assert first.returncode == 0, first.stderr
    assert f'building {FOLDER}' in first.stdout
    assert '1.0' in installed()
    # Complete: nothing is done, and what a user added stays.
    (checkout.root / FOLDER / 'added').touch()
    assert checkout.make(*arguments, **offline).stdout == f'{FOLDER} is complete\n'
    assert checkout.make(*arguments[:2], **offline).stdout == f'{FOLDER} is complete\n'
    assert (checkout.root / FOLDER / 'added').exists()
    # Other requirements, which cannot be had at first: not taken for complete until they are there.
    lock.write_text('stub==3.0\n')
    for _ in range(2):
        failed = checkout.make(*arguments, **offline)
        assert failed.returncode == 2
        assert f'error: {FOLDER} is not built' in failed.stderr
    lock.write_text('stub==2.0\n')
    assert checkout.make(*arguments, **offline).returncode == 0
    assert '2.0' in installed()
    # Moved: its programs and the project in it are still of the old place.
    moved = Checkout(checkout.root.rename(tmp_path / 'moved'), checkout.path)
    assert f'building {FOLDER}' in moved.make(*arguments, **offline).stdout
    assert moved.make(*arguments, **offline).stdout == f'{FOLDER} is complete\n'


@pytest.fixture
def source_only(tmp_path: Path) -> tuple[str, str]:
    """mmcv as it is asked for, and an index that has its source alone: as far as it gets, it is to be compiled."""
    mmcv, version = {'openmmlab': ('mmcv', '2.1.0'), 'onedl': ('onedl-mmcv', '2.3.6')}[STACK]
    page = tmp_path / 'index' / mmcv / 'index.html'
    page.parent.mkdir(parents=True)
    source = f'{mmcv.replace("-", "_")}-{version}.tar.gz'
    page.write_text(f'<a href="{source}">{source}</a>')
    return f'{mmcv}=={version}', page.parents[1].as_uri()


def errors_of(checkout: Checkout, **environ: str) -> list[str]:
    result = checkout.make('env', f'STACK={STACK}', f'PYTHON={sys.executable}', 'MMCV_CUDA=', **environ)
    assert result.returncode == 2
    return [line for line in result.stderr.splitlines() if line.startswith('error: ')]


@pytest.mark.usefixtures('needs_uv')
def test_without_a_compiler_it_says_what_to_install(checkout: Checkout, source_only: tuple[str, str]) -> None:
    mmcv, index = source_only
    (error,) = errors_of(checkout, CXX='no-such-compiler', UV_DEFAULT_INDEX=index)
    assert f'{mmcv} is to be compiled, and there is no C++ compiler' in error
    assert 'apt-get install g++' in error


@pytest.mark.usefixtures('needs_uv')
def test_too_little_disk_is_said_before_anything_is_fetched(
    checkout: Checkout, source_only: tuple[str, str], tmp_path: Path
) -> None:
    df = tmp_path / 'programs' / 'df'
    df.parent.mkdir()
    # The checkout's disk has room, the cache's has not.
    df.write_text(
        '#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\n'
        'echo /dev/a 100000000 1 90000000 1% /\necho /dev/b 100000000 1 3000000 97% /small\n'
    )
    df.chmod(0o755)
    errors = errors_of(checkout, PATH=f'{df.parent}:{checkout.path}', UV_DEFAULT_INDEX=source_only[1], CXX='true')
    assert errors == ['error: 3 GB are free on /small, a new stack takes 8: make room, or set UV_CACHE_DIR']
