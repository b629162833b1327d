#!/usr/bin/env python3
"""Builds the environment of a stack and, if asked, runs a command in it.

    python3 tools/make_env.py --stack openmmlab -- python tools/train.py CONFIG --mini

Needs nothing but a Python of 3.8 or newer (which need not be the one the environment gets). A
complete environment is recognised by a stamp in a fraction of a second; anything else is built,
or finished where an interrupted run left it. mmcv's compiled operators are built once and kept as
a wheel in the user's cache folder, named after all that they depend on.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import hashlib
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = '.mmsepvit-env.json'
# Part of the stamp: raise it when a change of this script must rebuild existing environments.
FORMAT = 1
GIB = 1024**3
FETCH_ROOM = 3 * GIB
BUILD_ROOM = GIB
BUILD_MINUTES = '9 minutes on two cores'
HEARTBEAT = 10 if sys.stdout.isatty() else 30


class SetupError(Exception):
    """A reason to stop that one line tells the user, with what to do about it."""


@dataclass(frozen=True)
class Stack:
    """One set of packages that fit together, and where its environment lives."""

    name: str
    folder: str
    oldest: tuple[int, int]
    newest: tuple[int, int]
    requirements: tuple[str, ...]
    room: int
    mmcv: str = ''
    """Distribution that carries mmcv, built by us; empty where the stack has none."""
    modules: str = ''
    """Imported at the end, which proves that the packages fit each other."""

    @property
    def env(self) -> Path:
        return ROOT / self.folder

    @property
    def pythons(self) -> str:
        return f'Python {dotted(self.oldest)} to {dotted(self.newest)}'

    def takes(self, version: Sequence[int]) -> bool:
        return self.oldest <= tuple(version[:2]) <= self.newest


# Importing any of these modules loads the compiled operators too.
_MODULES = 'torch, torchvision, mmcv.ops, mmdet.models, mmseg.models, mmpretrain.models'
STACKS = {
    stack.name: stack
    for stack in (
        Stack(
            'openmmlab',
            '.venv',
            oldest=(3, 9),
            newest=(3, 11),
            requirements=('build', 'openmmlab', 'test'),
            room=6 * GIB,
            mmcv='mmcv',
            modules=_MODULES,
        ),
        Stack(
            'onedl',
            '.venv-onedl',
            oldest=(3, 10),
            newest=(3, 12),
            requirements=('build', 'onedl', 'test'),
            room=6 * GIB,
            mmcv='onedl-mmcv',
            modules=_MODULES,
        ),
        # The linter alone: it takes seconds and no torch.
        Stack(
            'lint',
            '.venv-lint',
            oldest=(3, 8),
            newest=(3, 99),
            requirements=('lint',),
            room=GIB // 4,
        ),
    )
}


def dotted(version: Sequence[int]) -> str:
    return '.'.join(str(part) for part in version)


def say(text: str) -> None:
    print(f'[env] {text}', flush=True)


def spent(start: float) -> str:
    seconds = int(time.monotonic() - start)
    return f'{seconds // 60} min {seconds % 60:02d} s' if seconds >= 60 else f'{seconds} s'


# ---------------------------------------------------------------------------------- requirements


def requirement_files(stack: Stack) -> list[Path]:
    return [ROOT / 'requirements' / f'{name}.txt' for name in stack.requirements]


def read_pins(files: Sequence[Path]) -> dict[str, str]:
    """Returns the exact versions that requirements files ask for.

    Raises:
        SetupError: If a line is no ``name==version``, or two files disagree.
    """
    pins: dict[str, str] = {}
    for file in files:
        for line in file.read_text(encoding='utf-8').splitlines():
            line = line.partition('#')[0].strip()
            if not line:
                continue
            match = re.fullmatch(r'([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)', line)
            if match is None:
                raise SetupError(f'{file}: {line!r} is no exact requirement (name==version)')
            name, version = match.groups()
            if pins.setdefault(name, version) != version:
                raise SetupError(f'{file}: {name}=={version} disagrees with =={pins[name]} elsewhere')
    return pins


def recipe(stack: Stack) -> str:
    """Returns a hash of all that decides what an environment holds."""
    digest = hashlib.sha256(f'{FORMAT} {stack.name}'.encode())
    files = requirement_files(stack)
    if stack.mmcv:
        # The editable install copies the project's metadata.
        files += [ROOT / 'setup.py', ROOT / 'mmsepvit' / 'version.py']
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------- Python


@dataclass(frozen=True)
class Python:
    """An interpreter that was seen to run."""

    path: str
    version: tuple[int, ...]
    venv: bool
    include: str

    def __str__(self) -> str:
        return f'Python {dotted(self.version)} ({self.path})'


# Understood by every Python, so that also an old one can tell that it is too old.
_PROBE = """
import json, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps([getattr(sys, '_base_executable', None) or sys.executable,
                  list(sys.version_info[:3]), has_venv, sysconfig.get_path('include') or '']))
"""


def probe(command: str) -> Python | None:
    """Asks an interpreter who it is; None if it does not run (as a pyenv shim may not)."""
    try:
        answer = subprocess.run([command, '-c', _PROBE], capture_output=True, text=True, timeout=20, check=True)
        path, version, venv, include = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Python(path, tuple(version), venv, include)


def interpreters() -> Iterator[Python]:
    """Yields the Pythons of this machine: the one that runs this, python3, then by version."""
    commands = [sys.executable]
    folders = [folder for folder in os.get_exec_path() if folder]
    for name in ('python3', 'python3.11', 'python3.10', 'python3.9', 'python3.12'):
        commands += [str(Path(folder, name)) for folder in folders]
    seen = set()
    for command in commands:
        if not os.access(command, os.X_OK):
            continue
        python = probe(command)
        if python is not None and python.path not in seen:
            seen.add(python.path)
            yield python


def named_python(command: str) -> Python:
    path = shutil.which(command)
    python = probe(path) if path else None
    if python is None:
        raise SetupError(f'PYTHON={command} is no Python that runs: name one, as in PYTHON=python3.11')
    return python


def missing_venv(python: Python) -> SetupError:
    return SetupError(
        f'{python} has no venv module: install it (Debian and Ubuntu: '
        f'apt-get install python{dotted(python.version[:2])}-venv), or name another with PYTHON='
    )


def find_python(stack: Stack, command: str = '') -> Python:
    """Returns an interpreter for a stack.

    Raises:
        SetupError: If the named one, or every one of this machine, is of another version.
    """
    if command:
        python = named_python(command)
        if not stack.takes(python.version):
            raise SetupError(
                f'the {stack.name} stack needs {stack.pythons}, but PYTHON={command} is '
                f'{dotted(python.version)}: name another, or leave PYTHON out'
            )
        if not python.venv:
            raise missing_venv(python)
        return python
    found = []
    for python in interpreters():
        if stack.takes(python.version) and python.venv:
            return python
        found.append(python)
    for python in found:
        if stack.takes(python.version):
            raise missing_venv(python)
    versions = ', '.join(sorted({dotted(python.version) for python in found})) or 'none'
    raise SetupError(
        f'the {stack.name} stack needs {stack.pythons}, and this machine has {versions}: install '
        'one, or say where it is, as in PYTHON=/opt/python3.11/bin/python3'
    )


def choose_stack(command: str = '') -> Stack:
    """Returns the default stack: openmmlab, and onedl on Python 3.12 and newer."""
    openmmlab, onedl = STACKS['openmmlab'], STACKS['onedl']
    if command:
        return onedl if named_python(command).version >= (3, 12) else openmmlab
    for python in interpreters():
        if openmmlab.takes(python.version):
            return openmmlab
        if onedl.takes(python.version):
            return onedl
    return openmmlab


# ---------------------------------------------------------------------------- running a long step

_held_locks: list[int] = []


def run(pip: Pip, title: str, command: Sequence[str], note: str = '', env: dict[str, str] | None = None) -> None:
    """Runs a long step: its output goes to the environment's log, its progress to the terminal.

    Raises:
        SetupError: If the command fails, with the line of its output that says why.
    """
    say(f'{title} ({note})' if note else title)
    start = told = time.monotonic()
    lines: queue.Queue[str | None] = queue.Queue()
    doing = ''
    with pip.log.open('a', encoding='utf-8') as file:
        offset = file.tell()
        file.write(f'\n$ {shlex.join(command)}\n')
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env={**pip.env, **(env or {})},
            cwd=ROOT,
            # Its own group, so that an interrupt ends the compilers below it too.
            start_new_session=True,
            # The lock outlives this process if it is killed and the step goes on without it.
            pass_fds=_held_locks,
        )

        def read() -> None:
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            while True:
                try:
                    line = lines.get(timeout=max(0.1, told + HEARTBEAT - time.monotonic()))
                    if line is None:
                        break
                    file.write(line)
                    doing = progress(line) or doing
                except queue.Empty:
                    pass
                if time.monotonic() >= told + HEARTBEAT:
                    told = time.monotonic()
                    file.flush()
                    say(f'  {spent(start)}: {doing or "at work"}')
            status = process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if status:
        raise SetupError(f'{title}: {reason(pip.log, offset)} (all of it: {pip.log})')
    if time.monotonic() - start > HEARTBEAT:
        say(f'  done in {spent(start)}')


def progress(line: str) -> str:
    """Returns what a line of pip's or ninja's output says of the work, or an empty text."""
    ninja = re.match(r'\s*\[(\d+)/(\d+)\]', line)
    if ninja:
        return f'compiled {ninja[1]} of {ninja[2]} files'
    line = line.strip()
    if line.startswith('Installing collected packages'):
        return 'installing the packages that were fetched'
    if re.match(r'(Collecting|Downloading|Using cached|Processing|Building wheel|Preparing) ', line):
        return line if len(line) <= 90 else line[:87] + '...'
    return ''


def reason(log: Path, offset: int) -> str:
    """Returns the line of a failed step's output that tells most."""
    with log.open(encoding='utf-8', errors='replace') as file:
        file.seek(offset)
        lines = [line.strip() for line in file if line.strip()]
    for pattern in (r'.*No space left on device', r'.*\berror: (?!subprocess)', r'ERROR: (?!Failed)'):
        for line in lines:
            if re.match(pattern, line):
                return line[:300]
    return lines[-1][:300]


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds a lock file, and tells when it has to wait for another run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as file:
        start = told = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if told == start or time.monotonic() >= told + HEARTBEAT:
                    told = time.monotonic() + 1e-6
                    say(f'waiting for another run that is building {what}: {spent(start)}')
                time.sleep(0.5)
        _held_locks.append(file.fileno())
        try:
            yield
        finally:
            _held_locks.remove(file.fileno())


# ------------------------------------------------------------------------- checks before the work


def size_of(folder: Path) -> int:
    """Returns the bytes that a folder takes on its disk."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


def existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def check_room(needs: Sequence[tuple[Path, int]]) -> None:
    """Checks that the disks have room, adding up what falls on the same one.

    Raises:
        SetupError: If one has not.
    """
    disks: dict[int, tuple[Path, int]] = {}
    for path, size in needs:
        path = existing(path)
        device = path.stat().st_dev
        first, sofar = disks.get(device, (path, 0))
        disks[device] = first, sofar + size
    for path, size in disks.values():
        free = shutil.disk_usage(path).free
        if free < size:
            raise SetupError(
                f'no room on the disk: {size / GIB:.1f} GiB are needed and {free / GIB:.1f} GiB '
                f'are free where {path} lies; make room and run the same command again'
            )


def check_compiler(python: Python) -> str:
    """Returns the C++ compiler to build with.

    Raises:
        SetupError: If there is none, or it cannot compile an extension of this Python.
    """
    named = os.environ.get('CXX')
    names = shlex.split(named)[:1] if named else ['c++', 'g++', 'clang++']
    compiler = next((path for path in map(shutil.which, names) if path), None)
    if compiler is None:
        raise SetupError(
            f'no C++ compiler found ({", ".join(names)}), and mmcv has operators to compile: '
            'install one (Debian and Ubuntu: apt-get install g++), or name a folder or index with '
            'a ready mmcv wheel in MMCV_WHEELS='
        )
    trial = subprocess.run(
        [compiler, '-x', 'c++', '-std=c++17', '-fsyntax-only', f'-I{python.include}', '-'],
        input='#include <vector>\n#include <Python.h>\n',
        capture_output=True,
        text=True,
    )
    if trial.returncode:
        said = next((line for line in trial.stderr.splitlines() if 'error' in line), 'it failed')
        raise SetupError(
            f'{compiler} cannot compile an extension of {python}: {said.strip()[:160]}; install '
            'the headers of both (Debian and Ubuntu: apt-get install g++ '
            f'python{dotted(python.version[:2])}-dev)'
        )
    return named or compiler


def check_wheel_source(source: str) -> list[str]:
    """Returns pip's options for the place that ``MMCV_WHEELS`` names.

    Raises:
        SetupError: If it is neither an address nor a folder with wheels.
    """
    if re.match(r'(https?|file)://', source):
        # A package index ends so by convention; everything else is a page with links.
        index = source.rstrip('/').endswith('/simple')
        return ['--extra-index-url' if index else '--find-links', source]
    folder = Path(source).expanduser().resolve()
    if not any(folder.glob('*.whl')):
        raise SetupError(f'MMCV_WHEELS={source} is no address, and no folder with wheels (.whl) in it')
    return ['--no-index', '--find-links', str(folder)]


# ------------------------------------------------------------------------------- mmcv's operators


def wheel_cache() -> Path:
    cache = os.environ.get('XDG_CACHE_HOME', '')
    # The XDG rules: a relative path is to be ignored.
    base = Path(cache) if Path(cache).is_absolute() else Path.home() / '.cache'
    return base / 'mmsepvit' / 'wheels'


def wheel_key(mmcv: str, mmcv_version: str, torch: str, python: Sequence[int], platform: str, device: str) -> str:
    """Names the cache entry after all that compiled operators depend on."""
    tag = f'cp{python[0]}{python[1]}'
    return f'{mmcv}-{mmcv_version}_torch-{torch}_{tag}_{platform}_{device}'


def cached_wheel(key: str) -> Path | None:
    return next(iter(sorted((wheel_cache() / key).glob('*.whl'))), None)


# Run in the environment, once torch is there.
_TORCH_FACTS = """
import json, os, subprocess, sysconfig
import torch
device, nvcc = 'cpu', ''
if torch.cuda.is_available():
    from torch.utils.cpp_extension import CUDA_HOME
    arches = os.environ.get('TORCH_CUDA_ARCH_LIST') or ' '.join(sorted({
        '%d.%d' % torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}))
    label = '-'.join(arches.replace(';', ' ').replace('.', '').split())
    device = 'cu' + torch.version.cuda.replace('.', '') + '-sm' + label
    nvcc = os.path.join(CUDA_HOME, 'bin', 'nvcc') if CUDA_HOME else ''
print(json.dumps([torch.__version__, sysconfig.get_platform(), device, nvcc,
                  torch.version.cuda or '']))
"""


def fetched_wheel(stack: Stack, python: Python, pip: Pip, requirement: str, source: str) -> Path:
    folder = stack.env / 'mmcv-wheel'
    shutil.rmtree(folder, ignore_errors=True)
    options = ['--no-deps', '--only-binary', ':all:', '--dest', str(folder), *check_wheel_source(source)]
    try:
        run(pip, f'fetching {requirement} from {source}', pip.command('download', *options, requirement))
    except SetupError as error:
        raise SetupError(
            f'no wheel of {requirement} for Python {dotted(python.version[:2])} to be had from MMCV_WHEELS={source}; '
            f'leave it out to build one. {error}'
        ) from None
    return next(folder.glob('*.whl'))


def mmcv_wheel(stack: Stack, python: Python, pip: Pip, source: str) -> Path:
    """Returns mmcv's wheel for an environment that has its torch: fetched, cached, or built.

    Raises:
        SetupError: If it cannot be had.
    """
    version = read_pins(requirement_files(stack))[stack.mmcv]
    requirement = f'{stack.mmcv}=={version}'
    if source:
        return fetched_wheel(stack, python, pip, requirement, source)
    facts = subprocess.run([str(pip.python), '-c', _TORCH_FACTS], capture_output=True, text=True, env=pip.env)
    if facts.returncode:
        raise SetupError(f'torch does not import: {facts.stderr.strip().splitlines()[-1]}')
    torch, platform, device, nvcc, cuda = json.loads(facts.stdout)
    key = wheel_key(stack.mmcv, version, torch, python.version, platform, device)
    with locked(wheel_cache() / f'{key}.lock', f"mmcv's operators ({key})"):
        wheel = cached_wheel(key)
        if wheel is not None:
            say(f'mmcv from the cache: {wheel}')
            return wheel
        compiler = check_compiler(python)
        if device != 'cpu' and not os.access(nvcc, os.X_OK):
            raise SetupError(
                f'there is a GPU but no CUDA compiler to build mmcv for it: install the CUDA '
                f'toolkit {cuda} and set CUDA_HOME, or name a ready wheel with MMCV_WHEELS=, or '
                'hide the GPU with CUDA_VISIBLE_DEVICES= to build for the CPU'
            )
        check_room([(wheel_cache(), BUILD_ROOM), (Path(tempfile.gettempdir()), BUILD_ROOM)])
        part = wheel_cache() / f'{key}.part'
        shutil.rmtree(part, ignore_errors=True)
        # Without pip's own wheel cache, whose names know nothing of torch.
        options = ['--no-build-isolation', '--no-deps', '--no-binary', stack.mmcv, '--no-cache-dir', '--verbose']
        run(
            pip,
            f'compiling the operators of {requirement} for {device}',
            pip.command('wheel', *options, '--wheel-dir', str(part), requirement),
            note=f'about {BUILD_MINUTES}, once for this machine',
            env={
                'MMCV_WITH_OPS': '1',
                'FORCE_CUDA': '0' if device == 'cpu' else '1',
                'MAX_JOBS': os.environ.get('MAX_JOBS') or str(jobs()),
                'CXX': compiler,
            },
        )
        final = wheel_cache() / key
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
        return cached_wheel(key)


def jobs() -> int:
    """Returns how many compilers this machine can run at once: a core and 2 GiB each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(cores or 1, memory // (2 * GIB)))


# -------------------------------------------------------------------------------- the environment


class Pip:
    """The pip of an environment, with the user's settings that would misplace files taken out."""

    def __init__(self, env: Path) -> None:
        self.python = env / 'bin' / 'python'
        self.log = env / 'make_env.log'
        dropped = ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_REQUIRE_HASHES')
        self.env = {key: value for key, value in os.environ.items() if key not in dropped}
        self.env.update(
            PATH=f'{env / "bin"}{os.pathsep}{os.environ.get("PATH", os.defpath)}',
            VIRTUAL_ENV=str(env),
            PIP_USER='0',
            PIP_NO_INPUT='1',
            PIP_DISABLE_PIP_VERSION_CHECK='1',
        )

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), '-m', 'pip', *arguments]

    def install(self, *arguments: str) -> list[str]:
        # Python compiles what is imported, when it is; pip would compile all of torch first.
        return self.command('install', '--no-compile', *arguments)

    def works(self) -> bool:
        try:
            subprocess.run(self.command('--version'), env=self.env, capture_output=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return False
        return True


def read_stamp(stack: Stack) -> dict[str, str]:
    try:
        stamp = json.loads((stack.env / STAMP).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_complete(stack: Stack, python: Python | None = None) -> bool:
    """Says whether an environment was built to its end, here, from today's requirements."""
    stamp = read_stamp(stack)
    return (
        stamp.get('recipe') == recipe(stack)
        and stamp.get('env') == str(stack.env)
        and (python is None or stamp.get('python') == dotted(python.version[:2]))
        # A link that dangles where its Python was removed.
        and (stack.env / 'bin' / 'python').exists()
    )


def reusable(stack: Stack, python: Python) -> bool:
    """Says whether an incomplete environment can be finished rather than made anew."""
    config = stack.env / 'pyvenv.cfg'
    if not config.is_file():
        return False
    match = re.search(r'^version\s*=\s*(\d+)\.(\d+)', config.read_text(), re.MULTILINE)
    same_python = match is not None and (int(match[1]), int(match[2])) == python.version[:2]
    # Scripts in bin/ name the environment's path, so a moved one is of no use.
    activate = stack.env / 'bin' / 'activate'
    same_place = activate.is_file() and str(stack.env) in activate.read_text()
    return same_python and same_place and Pip(stack.env).works()


def drop_torn_packages(env: Path) -> list[str]:
    """Forgets packages that an interrupted pip left in pieces, so that pip installs them again.

    pip would take their metadata for an installed package. Returns their names.
    """
    torn = []
    for site in env.glob('lib/python*/site-packages'):
        for left in site.glob('~*'):
            shutil.rmtree(left, ignore_errors=True)
        for info in sorted(site.glob('*.dist-info')):
            # pip writes INSTALLER after all the files, and RECORD after that.
            record = info / 'RECORD'
            whole = record.is_file() and (info / 'INSTALLER').is_file()
            if whole:
                with record.open(newline='', encoding='utf-8') as file:
                    names = [row[0] for row in csv.reader(file) if row]
                whole = all(name.endswith('.pyc') or (site / name).exists() for name in names)
            if not whole:
                torn.append(info.name[: -len('.dist-info')])
                shutil.rmtree(info)
    return torn


def check_before(stack: Stack, python: Python, source: str, resumed: bool) -> None:
    """Checks whatever can be known to fail before hours and gigabytes are spent.

    Raises:
        SetupError: If something is missing.
    """
    env, temporary = stack.env, Path(tempfile.gettempdir())
    if env.exists() and not Pip(env).log.exists() and any(env.iterdir()):
        raise SetupError(f'{env} was not made by this script: move it away, and run the same command again')
    taken = size_of(env) if resumed else 0
    missing = max(stack.room - taken, GIB // 4)
    needs = [(env, missing), (temporary, min(missing, FETCH_ROOM) if stack.mmcv else 0)]
    if source:
        check_wheel_source(source)
    elif stack.mmcv:
        pins = read_pins(requirement_files(stack))
        # Whether the cache fits this very torch build and device is known only once torch is there.
        likely = wheel_key(stack.mmcv, pins[stack.mmcv], f'{pins["torch"]}*', python.version, '*', '*')
        if not any(wheel_cache().glob(f'{likely}/*.whl')):
            check_compiler(python)
            needs.append((wheel_cache(), BUILD_ROOM))
    check_room(needs)


def install(stack: Stack, python: Python, pip: Pip, source: str) -> None:
    """Installs all that a stack holds; what is there already takes no time."""
    if stack.mmcv:
        pins = read_pins(requirement_files(stack))
        names = [*read_pins([ROOT / 'requirements' / 'build.txt']), 'setuptools', 'numpy', 'torch', 'torchvision']
        run(
            pip,
            'installing torch and the build tools',
            pip.install(*(f'{name}=={pins[name]}' for name in names)),
            note='the first time some 2 GB to fetch',
        )
        wheel = mmcv_wheel(stack, python, pip, source)
        # Forced: the same version may be there, compiled against another torch.
        run(pip, 'installing mmcv', pip.install('--no-deps', '--force-reinstall', str(wheel)))
    options = [option for file in requirement_files(stack) for option in ('-r', str(file))]
    # onedl's packages are source distributions: the same setuptools builds them everywhere.
    constraints = str(ROOT / 'requirements' / f'{stack.name}.txt')
    run(pip, 'installing the packages', pip.install(*options), env={'PIP_BUILD_CONSTRAINT': constraints})
    if stack.mmcv:
        options = ['--no-build-isolation', '--no-deps', '--editable', str(ROOT)]
        run(pip, 'installing this project', pip.install(*options))


def build(stack: Stack, python: Python, source: str) -> None:
    """Makes a stack's environment complete: finishes what is there, or starts anew."""
    start = time.monotonic()
    env, pip = stack.env, Pip(stack.env)
    resumed = reusable(stack, python)
    check_before(stack, python, source, resumed)
    (env / STAMP).unlink(missing_ok=True)
    if resumed:
        say(f'completing the {stack.name} environment in {env}')
        torn = drop_torn_packages(env)
        if torn:
            say(f'  left in pieces by an interrupted run, so installed again: {", ".join(torn)}')
    else:
        say(f'building the {stack.name} environment in {env} with {python}')
        if env.exists():
            shutil.rmtree(env)
        env.mkdir()
        run(pip, 'making it', [python.path, '-m', 'venv', str(env)])
    install(stack, python, pip, source)
    if stack.modules:
        try:
            run(pip, 'checking that everything imports', [str(pip.python), '-c', f'import {stack.modules}'])
        except SetupError as error:
            hint = f'; to start anew: rm -r {shlex.quote(str(env))}' if resumed else ''
            raise SetupError(f'{error}{hint}') from None
    write_stamp(stack, python)
    say(f'complete after {spent(start)}: {env}')


def write_stamp(stack: Stack, python: Python) -> None:
    stamp = {
        'stack': stack.name,
        'recipe': recipe(stack),
        'env': str(stack.env),
        'python': dotted(python.version[:2]),
    }
    written = stack.env / f'{STAMP}.new'
    written.write_text(json.dumps(stamp, indent=2), encoding='utf-8')
    written.replace(stack.env / STAMP)


def ensure(stack: Stack, command: str, source: str) -> None:
    """Makes sure that a stack's environment is complete, one run at a time."""
    asked = named_python(command) if command else None
    if is_complete(stack, asked):
        return
    python = find_python(stack, command)
    with locked(ROOT / f'{stack.folder}.lock', f'the {stack.name} environment'):
        if not is_complete(stack, asked):
            build(stack, python, source)


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Builds the environment of a stack; with a command, runs it in there.')
    parser.add_argument(
        '--stack',
        default='',
        help=f'{", ".join(STACKS)}; default: openmmlab, and onedl on Python 3.12 and newer',
    )
    parser.add_argument('--python', default='', help='interpreter to build with')
    parser.add_argument('--mmcv-wheels', default='', help='folder, index or page to take mmcv from, ready built')
    parser.add_argument('command', nargs='*', help='after --: what to run in the environment')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    try:
        if args.stack and args.stack not in STACKS:
            raise SetupError(f'unknown STACK={args.stack}: there are openmmlab and onedl')
        stack = STACKS[args.stack] if args.stack else choose_stack(args.python)
        ensure(stack, args.python, args.mmcv_wheels)
    except (SetupError, OSError) as error:
        print(f'[env] error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\n[env] interrupted: the same command goes on from here', file=sys.stderr)
        return 130
    if not args.command:
        say(f'{stack.name}: {stack.env} is complete')
        return 0
    environment = Pip(stack.env).env
    # The command is the user's own: it keeps what only the installation had to be without.
    environment.update({key: os.environ[key] for key in ('PYTHONPATH',) if key in os.environ})
    sys.stdout.flush()
    try:
        os.execvpe(args.command[0], args.command, environment)
    except OSError as error:
        print(f'[env] error: cannot run {args.command[0]}: {error.strerror}', file=sys.stderr)
        return 127


def _terminate(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())
