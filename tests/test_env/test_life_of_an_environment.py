"""An environment from nothing to its end, with stand-ins for the packages: interrupted, finished, changed, shared."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from env_checkout import GIB, STACK, Checkout, disk, program
from env_offline import PROJECT_BACKEND, mmcv_sdist, pyproject, wheel

MMCV = {'openmmlab': 'mmcv', 'onedl': 'onedl-mmcv'}[STACK]
FOLDER = {'openmmlab': '.venv', 'onedl': '.venv-onedl'}[STACK]
TORCH = """
__version__ = {version!r}
class cuda:
    is_available = staticmethod(lambda: False)
class version:
    cuda = None
"""


@pytest.fixture
def offline(checkout: Checkout, tmp_path: Path) -> Checkout:
    """A checkout whose requirements are small packages of a local folder."""
    index = tmp_path / 'index'
    index.mkdir()
    mmcv_sdist(index, MMCV)
    for version in ('2.1.2', '2.1.3'):
        wheel(index, 'torch', version, {'torch/__init__.py': TORCH.format(version=version)})
    modules = {
        'numpy': 'numpy/__init__.py',
        'torchvision': 'torchvision/__init__.py',
        'setuptools': 'setuptools/__init__.py',
        'mmdet': 'mmdet/models.py',
        'mmseg': 'mmseg/models.py',
        'mmpretrain': 'mmpretrain/models.py',
    }
    for name, module in modules.items():
        wheel(index, name, '1.0', {module: ''})
    wheel(index, 'pytest', '8.0', {'pytest/__main__.py': 'import sys; print("ran", *sys.argv[1:])'})
    requirements = checkout.root / 'requirements'
    (requirements / 'build.txt').write_text('')
    (requirements / f'{STACK}.txt').write_text(
        '\n'.join([f'{MMCV}==2.1.0', 'torch==2.1.2', *(f'{name}==1.0' for name in modules)])
    )
    (requirements / 'test.txt').write_text('pytest==8.0')
    (checkout.root / 'pyproject.toml').write_text(pyproject('backend'))
    (checkout.root / 'backend.py').write_text(PROJECT_BACKEND)
    (checkout.root / 'env_offline.py').write_text(Path(__file__).with_name('env_offline.py').read_text())
    checkout.environ = {
        # The stand-ins take kilobytes; the script asks for the gigabytes of the real ones, which CI may not have left.
        **disk(tmp_path, 99 * GIB),
        'PIP_FIND_LINKS': str(index),
        'TEST_BUILDS': str(tmp_path / 'builds'),
        'TEST_MMCV': MMCV,
        # The stand-in needs no compiler, but the script insists on one.
        'CXX': str(program(tmp_path / 'c++', 'cat >/dev/null')),
    }
    return checkout


def builds(checkout: Checkout) -> int:
    path = Path(checkout.environ['TEST_BUILDS'])
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_life_of_an_environment(offline: Checkout, tmp_path: Path) -> None:
    arguments = ('--stack', STACK, '--python', sys.executable)
    env = offline.root / FOLDER
    stamp = env / '.mmsepvit-env.json'

    # Ended while mmcv compiles: says so, leaves neither a wheel nor an environment that passes for complete.
    slow = subprocess.Popen(
        offline.command(*arguments),
        env=offline.environment(TEST_BUILD_SECONDS='60'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: builds(offline) == 1, slow)
    second = subprocess.Popen(
        offline.command(*arguments, '--', 'python', '-m', 'pytest', '-k', 'a or b'),
        env=offline.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)
    assert second.poll() is None, 'two runs at once in one environment'
    assert not stamp.exists()
    slow.send_signal(signal.SIGTERM)
    output, errors = slow.communicate(timeout=120)
    assert slow.returncode == 130, errors
    assert f'compiling the operators of {MMCV}==2.1.0 for cpu' in output
    assert 'goes on from here' in errors.splitlines()[-1]
    assert not list(offline.wheels.glob('*/*.whl'))

    # The run that waited finishes what the first began, and runs its command.
    output, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    assert 'waiting for another run' in output
    assert f'completing the {STACK} environment' in output
    assert output.splitlines()[-1] == 'ran -k a or b'
    assert builds(offline) == 2
    cached = list(offline.wheels.glob('*/*.whl'))
    assert len(cached) == 1
    assert f'{MMCV}-2.1.0_torch-2.1.2_cp3{sys.version_info[1]}' in cached[0].parent.name

    # Complete: recognised at once.
    start = time.monotonic()
    again = offline.run(*arguments)
    assert again.returncode == 0
    assert again.stdout == f'[env] {STACK}: {env} is complete\n'
    assert time.monotonic() - start < 2

    # Left in pieces by a killed pip, and another torch in the requirements: put right by the next run, with an mmcv
    # of that torch.
    site = next(env.glob('lib/python*/site-packages'))
    (site / 'mmdet-1.0.dist-info' / 'INSTALLER').unlink()
    (site / 'mmseg' / 'models.py').unlink()
    requirements = offline.root / 'requirements' / f'{STACK}.txt'
    requirements.write_text(requirements.read_text().replace('torch==2.1.2', 'torch==2.1.3'))
    finished = offline.run(*arguments)
    assert finished.returncode == 0, finished
    assert 'installed again: mmdet-1.0, mmseg-1.0' in finished.stdout
    assert (site / 'mmseg' / 'models.py').exists()
    assert builds(offline) == 3
    assert len(list(offline.wheels.glob('*/*.whl'))) == 2
    assert json.loads(stamp.read_text())['stack'] == STACK

    # Nothing to be had: one line with pip's reason, and what was there is no longer taken for complete.
    requirements.write_text(requirements.read_text().replace('torch==2.1.3', 'torch==9.0'))
    line = offline.error(*arguments)
    assert 'installing torch and the build tools: ERROR: ' in line
    assert 'torch==9.0' in line
    assert str(env / 'make_env.log') in line
    assert not stamp.exists()


def test_mmcv_wheels_takes_the_place_of_compiling(offline: Checkout, tmp_path: Path) -> None:
    arguments = ('--stack', STACK, '--python', sys.executable, '--mmcv-wheels')
    ready = tmp_path / 'ready'
    ready.mkdir()
    wheel(ready, MMCV, '1.9', {'mmcv/ops.py': ''})
    line = offline.error(*arguments, str(ready))
    assert f'no wheel of {MMCV}==2.1.0' in line
    assert f'MMCV_WHEELS={ready}' in line
    wheel(ready, MMCV, '2.1.0', {'mmcv/__init__.py': '', 'mmcv/ops.py': 'made = "elsewhere"'})
    result = offline.run(*arguments, str(ready), '--', 'python', '-c', 'import mmcv.ops; print(mmcv.ops.made)')
    assert result.returncode == 0, result
    assert result.stdout.splitlines()[-1] == 'elsewhere'
    assert builds(offline) == 0
    assert not list(offline.wheels.glob('*/*.whl'))


def wait_for(reached: object, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
