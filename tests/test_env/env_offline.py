"""Packages made on the spot, so that an environment's whole life can be tried in seconds without a network."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Writes a pure-Python wheel that holds the given files."""
    stem = f'{name.replace("-", "_")}-{version}'
    info = f'{stem}.dist-info'
    files = {
        **files,
        f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n',
        f'{info}/WHEEL': 'Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    }
    path = folder / f'{stem}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as archive:
        for member, text in files.items():
            archive.writestr(member, text)
        archive.writestr(f'{info}/RECORD', ''.join(f'{member},,\n' for member in [*files, f'{info}/RECORD']))
    return path


# A build backend of its own: no setuptools, no compiler. Each build is written down, so that tests count them.
MMCV_BACKEND = """
import os, sys, time
from pathlib import Path
import torch
from env_offline import wheel

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    assert os.environ['MMCV_WITH_OPS'] == '1' and os.environ['FORCE_CUDA'] == '0'
    assert int(os.environ['MAX_JOBS']) >= 1 and os.environ['CXX']
    builds = Path(os.environ['TEST_BUILDS'])
    with builds.open('a') as file:
        print('build for torch', torch.__version__, file=file)
    for step in range(int(os.environ.get('TEST_BUILD_SECONDS', '0')) * 10):
        print(f'[{step}/999] c++ -c op.cpp', flush=True)
        time.sleep(0.1)
    ops = 'import torch\\nassert torch.__version__ == %r, "undefined symbol"\\n' % torch.__version__
    files = {'mmcv/__init__.py': '', 'mmcv/ops.py': ops}
    return wheel(Path(wheel_directory), os.environ['TEST_MMCV'], '2.1.0', files).name
"""

PROJECT_BACKEND = """
from pathlib import Path
from env_offline import wheel

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return wheel(Path(wheel_directory), 'mmsepvit', '0.1.0', {'mmsepvit.pth': str(Path.cwd())}).name
"""


def pyproject(backend: str) -> str:
    return f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\nbackend-path = ["."]\n'


def mmcv_sdist(folder: Path, name: str) -> Path:
    """Writes an sdist of an mmcv whose build stands in for the compiling."""
    stem = f'{name.replace("-", "_")}-2.1.0'
    files = {
        'PKG-INFO': f'Metadata-Version: 2.1\nName: {name}\nVersion: 2.1.0\n',
        'pyproject.toml': pyproject('backend'),
        'backend.py': MMCV_BACKEND,
        'env_offline.py': Path(__file__).read_text(encoding='utf-8'),
    }
    path = folder / f'{stem}.tar.gz'
    with tarfile.open(path, 'w:gz') as archive:
        for member, text in files.items():
            entry = tarfile.TarInfo(f'{stem}/{member}')
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path
