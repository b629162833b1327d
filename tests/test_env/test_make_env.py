"""``tools/make_env.py``: what it asks of a machine, and the one line that it says where something is missing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from env_checkout import GIB, STACK, Checkout, disk, fake_python, program

# The contract's versions, written from it and not from the requirements files.
CONTRACT = {
    'openmmlab': {
        'mmengine': '0.10.7',
        'mmcv': '2.1.0',
        'mmdet': '3.3.0',
        'mmsegmentation': '1.2.2',
        'mmpretrain': '1.2.0',
        'torch': '2.1.2',
        'torchvision': '0.16.2',
    },
    'onedl': {
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1',
        'onedl-mmsegmentation': '1.4.2',
        'onedl-mmpretrain': '1.3.6',
        'torch': '2.11.0',
        'torchvision': '0.26.0',
    },
}


@pytest.mark.parametrize('name', ['openmmlab', 'onedl'])
def test_the_stacks_are_the_contracts(make_env: ModuleType, name: str) -> None:
    stack = make_env.STACKS[name]
    pins = make_env.read_pins(make_env.requirement_files(stack))
    assert pins.items() >= CONTRACT[name].items()
    other = CONTRACT['onedl' if name == 'openmmlab' else 'openmmlab']
    assert not {package for package in other if 'mm' in package} & set(pins)
    assert pins['numpy'].split('.')[0] == ('1' if name == 'openmmlab' else '2')
    assert int(pins['setuptools'].split('.')[0]) < 82
    assert stack.folder == {'openmmlab': '.venv', 'onedl': '.venv-onedl'}[name]
    assert (stack.oldest, stack.newest) == {'openmmlab': ((3, 9), (3, 11)), 'onedl': ((3, 10), (3, 12))}[name]


def test_no_requirement_is_open(make_env: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / 'some.txt'
    for line in ('torch>=2', 'torch', 'torch==2.*', '-e .'):
        file.write_text(line)
        with pytest.raises(make_env.SetupError, match='is no exact requirement'):
            make_env.read_pins([file])
    other = tmp_path / 'other.txt'
    file.write_text('torch==2.1.2')
    other.write_text('torch==2.1.3  # newer')
    with pytest.raises(make_env.SetupError, match='disagrees'):
        make_env.read_pins([file, other])


def test_a_wheel_is_named_after_all_it_depends_on(make_env: ModuleType) -> None:
    base = {
        'mmcv': 'mmcv',
        'mmcv_version': '2.1.0',
        'torch': '2.1.2+cu121',
        'python': (3, 11, 7),
        'platform': 'linux-x86_64',
        'device': 'cpu',
    }
    other = {
        'mmcv': 'onedl-mmcv',
        'mmcv_version': '2.1.1',
        'torch': '2.1.2+cpu',
        'python': (3, 10, 7),
        'platform': 'linux-aarch64',
        'device': 'cu121-sm90',
    }
    keys = {make_env.wheel_key(**{**base, name: value}) for name, value in other.items()}
    assert len(keys | {make_env.wheel_key(**base)}) == 7
    assert make_env.wheel_key(**base) == make_env.wheel_key(**{**base, 'python': (3, 11, 9)})


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('https://host.example/mmcv/dist/cu121/torch2.1/index.html', ['--find-links']),
        ('https://host.example/cu129-torch2100/simple/', ['--extra-index-url']),
        ('{folder}', ['--no-index', '--find-links']),
    ],
)
def test_mmcv_wheels_may_be_a_page_an_index_or_a_folder(
    make_env: ModuleType, tmp_path: Path, name: str, options: list[str]
) -> None:
    (tmp_path / 'mmcv-2.1.0-py3-none-any.whl').touch()
    place = name.format(folder=tmp_path)
    assert make_env.check_wheel_source(place) == [*options, place]


def test_the_line_of_an_error_that_tells_most_is_found(make_env: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / 'log'
    tail = 'ERROR: Failed building wheel for mmcv\nFailed to build mmcv\n'
    log.write_text(f'nms.cpp:3:1: error: expected ;\nninja: build stopped\nerror: subprocess-exited-with-error\n{tail}')
    assert make_env.reason(log, 0) == 'nms.cpp:3:1: error: expected ;'
    log.write_text('Collecting torch\nERROR: No matching distribution found for torch==9\n')
    assert make_env.reason(log, 0) == 'ERROR: No matching distribution found for torch==9'
    log.write_text('ERROR: Failed\nOSError: [Errno 28] No space left on device\nERROR: it failed\n')
    assert 'No space left' in make_env.reason(log, 0)


class TestWrongPython:
    def test_the_named_one_is_too_new(self, checkout: Checkout, tmp_path: Path) -> None:
        python = fake_python(tmp_path / 'bin' / 'python3.12', '3.12.1')
        line = checkout.error('--stack', 'openmmlab', '--python', str(python))
        assert 'needs Python 3.9 to 3.11' in line
        assert f'PYTHON={python} is 3.12.1' in line

    def test_the_named_one_does_not_run(self, checkout: Checkout, tmp_path: Path) -> None:
        shim = program(tmp_path / 'bin' / 'python3.11', 'echo "pyenv: python3.11: command not found" >&2; exit 127')
        for name in (str(shim), 'python3.99'):
            assert f'PYTHON={name} is no Python that runs' in checkout.error('--stack', 'openmmlab', '--python', name)

    def test_none_of_the_machine_fits(self, checkout: Checkout, tmp_path: Path) -> None:
        fake_python(tmp_path / 'bin' / 'python3', '3.13.0')
        program(tmp_path / 'bin' / 'python3.11', 'exit 127')
        line = self.error_without_this_python(checkout, tmp_path / 'bin', 'openmmlab')
        assert 'needs Python 3.9 to 3.11, and this machine has 3.13.0' in line
        assert 'PYTHON=' in line

    def test_it_has_no_venv(self, checkout: Checkout, tmp_path: Path) -> None:
        fake_python(tmp_path / 'bin' / 'python3.11', '3.11.2', venv=False)
        line = self.error_without_this_python(checkout, tmp_path / 'bin', 'openmmlab')
        assert 'apt-get install python3.11-venv' in line

    def test_without_a_stack_the_python_decides(self, checkout: Checkout, tmp_path: Path) -> None:
        # Seen from the line that each stack says about a Python without venv.
        folder = tmp_path / 'bin'
        fake_python(folder / 'python3', '3.13.0')
        fake_python(folder / 'python3.12', '3.12.1', venv=False)
        assert 'python3.12-venv' in self.error_without_this_python(checkout, folder)
        fake_python(folder / 'python3.10', '3.10.1', venv=False)
        assert 'python3.10-venv' in self.error_without_this_python(checkout, folder)
        line = checkout.error('--python', str(folder / 'python3'))
        assert 'the onedl stack needs' in line

    @staticmethod
    def error_without_this_python(checkout: Checkout, folder: Path, stack: str = '') -> str:
        """Runs it as if the Python that runs it were not one to build with."""
        code = f'import runpy, sys; sys.executable = ""; sys.argv = ["make_env.py", "--stack", {stack!r}]; '
        script = str(checkout.root / 'tools' / 'make_env.py')
        run = code + f'runpy.run_path({script!r}, run_name="__main__")'
        isolated = Checkout(checkout.root)
        isolated.command = lambda *arguments: [sys.executable, '-c', run]
        return isolated.error(PATH=str(folder))


class TestMissingCompiler:
    def test_none_there(self, checkout: Checkout, tmp_path: Path) -> None:
        line = checkout.error('--stack', STACK, '--python', sys.executable, PATH=str(tmp_path))
        assert 'no C++ compiler found' in line
        assert 'apt-get install g++' in line
        assert 'MMCV_WHEELS' in line
        assert not (checkout.root / '.venv').exists()

    def test_it_has_no_python_headers(self, checkout: Checkout, tmp_path: Path) -> None:
        text = 'echo "<stdin>:2:10: fatal error: Python.h: No such file or directory" >&2; exit 1'
        compiler = program(tmp_path / 'g++', text)
        line = checkout.error('--stack', STACK, '--python', sys.executable, CXX=str(compiler))
        assert 'Python.h: No such file' in line
        assert re.search(r'python3\.\d+-dev', line)

    def test_none_needed_where_the_wheel_is_cached(
        self, checkout: Checkout, make_env: ModuleType, tmp_path: Path
    ) -> None:
        stack = make_env.STACKS[STACK]
        pins = make_env.read_pins(make_env.requirement_files(stack))
        torch = f'{pins["torch"]}+cu1'
        key = make_env.wheel_key(stack.mmcv, pins[stack.mmcv], torch, sys.version_info, 'linux-x86_64', 'cpu')
        entry = checkout.wheels / key
        entry.mkdir(parents=True)
        (entry / 'mmcv.whl').touch()
        # It goes on to the next check, which no machine passes.
        line = no_room(checkout, tmp_path, PATH=str(tmp_path))
        assert 'no room on the disk' in line


def no_room(checkout: Checkout, tmp_path: Path, **environ: str) -> str:
    """Runs it on a disk that says of itself that 5 GiB are free."""
    return checkout.error('--stack', STACK, '--python', sys.executable, **disk(tmp_path, 5 * GIB), **environ)


def test_no_room(checkout: Checkout, tmp_path: Path) -> None:
    line = no_room(checkout, tmp_path)
    assert re.search(r'no room on the disk: \d+\.\d GiB are needed and 5\.0 GiB are free', line)
    assert not (checkout.root / '.venv').exists()


def test_wrong_words(checkout: Checkout, tmp_path: Path) -> None:
    assert 'unknown STACK=mmlab: there are openmmlab and onedl' in checkout.error('--stack', 'mmlab')
    arguments = ('--stack', STACK, '--python', sys.executable, '--mmcv-wheels')
    for place in (str(tmp_path), str(tmp_path / 'nowhere')):
        assert f'MMCV_WHEELS={place} is no address, and no folder with wheels' in checkout.error(*arguments, place)


def test_a_folder_of_someone_else_is_left_alone(checkout: Checkout) -> None:
    kept = checkout.root / '.venv' / 'kept.txt'
    kept.parent.mkdir()
    kept.touch()
    line = checkout.error('--stack', STACK, '--python', sys.executable)
    assert '.venv was not made by this script: move it away' in line
    assert kept.exists()
