"""The project as a user gets it: built from a copy of the tree, installed into environments of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a working tree holds that no distribution may carry.
STRAYS = (
    'tests/test_stray.py',
    'docs/stray.md',
    'data/mini/stray.jpg',
    'work_dirs/stray.pth',
    'mmsepvit/stray.pth',
    'mmsepvit/__pycache__/stray.cpython-311.pyc',
    'configs/__pycache__/stray.cpython-311.pyc',
    'tools/__pycache__/stray.cpython-311.pyc',
    # Left by a build of another day.
    'build/lib/mmsepvit/.mim/configs/stray.py',
    'mmsepvit.egg-info/SOURCES.txt',
)


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Runs a command that must succeed, away from this project, and returns what it printed."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(('PYTHON', 'PIP_', 'PYTEST'))}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**kept, 'OMP_NUM_THREADS': '1', **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f'{command} in {cwd}:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}'
    return result.stdout


def copy_tree(target: Path) -> Path:
    """Copies what git has of the project (or would, where a file is new), and adds strays."""
    listed = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split('\0'):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for name in STRAYS:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text('stray')
    return target


def build(source: Path, kind: str) -> Path:
    """Builds a ``wheel`` or ``sdist`` through the PEP 517 hooks, with this environment's setuptools."""
    code = f'from setuptools import build_meta; print(build_meta.build_{kind}("dist"))'
    return source / 'dist' / run(sys.executable, '-c', code, cwd=source).splitlines()[-1]


@dataclass
class Environment:
    """A virtual environment that sees the stack's packages of this one, but not this project."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / 'bin' / 'python'

    @property
    def site(self) -> Path:
        return next(self.root.glob('lib/python*/site-packages'))

    def pip_install(self, *arguments: str | Path, cwd: Path) -> None:
        options = ('--no-index', '--no-deps', '--no-build-isolation', '--no-compile')
        run(sys.executable, '-m', 'pip', '--python', self.python, 'install', *options, *arguments, cwd=cwd)


def make_environment(root: Path) -> Environment:
    run(sys.executable, '-m', 'venv', '--without-pip', root, cwd=root.parent)
    environment = Environment(root)
    # A plain path entry: the .pth of this project's own editable install is not read through it.
    folders = {sysconfig.get_path(name) for name in ('purelib', 'platlib')}
    (environment.site / 'stack.pth').write_text('\n'.join(folders))
    # Nor is setuptools' own, by which Python 3.12 has the distutils that mmengine imports; read after the folders.
    for folder in folders:
        for file in Path(folder).glob('distutils-precedence.pth'):
            shutil.copy(file, environment.site / 'stack_distutils.pth')
    return environment
