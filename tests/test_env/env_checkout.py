"""A project folder to run ``tools/make_env.py`` in as a user would, and programs that pass for others."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A stack that the Python of these tests fits.
STACK = 'openmmlab' if sys.version_info < (3, 12) else 'onedl'


@dataclass
class Checkout:
    """A project folder of its own, with a home of its own."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def wheels(self) -> Path:
        return self.root / 'cache' / 'mmsepvit' / 'wheels'

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self.root / 'tools' / 'make_env.py'), *arguments]

    def environment(self, **environ: str) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ('PATH', 'HOME', 'LANG', 'TMPDIR') if key in os.environ}
        # Nothing but the project's own settings, and no network.
        base = {'XDG_CACHE_HOME': str(self.root / 'cache'), 'PIP_CONFIG_FILE': os.devnull, 'PIP_NO_INDEX': '1'}
        return {**kept, **base, **self.environ, **environ}

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**environ),
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    def error(self, *arguments: str, **environ: str) -> str:
        """Runs it where it must fail, and returns the one line that it says."""
        result = self.run(*arguments, **environ)
        assert result.returncode == 1, result
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith('[env] error: '), lines
        return lines[0]


GIB = 1024**3


def disk(folder: Path, free: int) -> dict[str, str]:
    """Variables under which a Python believes that every disk has this many bytes free, whatever the machine has."""
    patch = f'import shutil\nshutil.disk_usage = lambda path: shutil._ntuple_diskusage({2 * free}, {free}, {free})\n'
    (folder / 'sitecustomize.py').write_text(patch)
    return {'PYTHONPATH': str(folder)}


def program(path: Path, text: str) -> Path:
    """Writes an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str, venv: bool = True) -> Path:
    """Writes a program that passes for a Python of some version when asked who it is."""
    numbers = version.replace('.', ', ')
    return program(path, f'echo \'["{path}", [{numbers}], {str(venv).lower()}, "/nowhere"]\'')
