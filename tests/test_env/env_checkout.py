"""What of the project an environment is built from, in a folder of its own, to run ``make`` in."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# A stack that the Python of these tests fits.
STACK = 'openmmlab' if sys.version_info < (3, 12) else 'onedl'


@dataclass
class Checkout:
    """A folder of its own, and the PATH that has uv."""

    root: Path
    path: str

    def make(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs ``make`` as a user does, away from the machine's package index and from uv's cache."""
        # What an outer make says to an inner one, as in `make test`, is not for this one.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(('MAKE', 'MFLAGS', 'UV_'))}
        for name in ('STACK', 'PYTHON', 'PYTEST_ARGS', 'CXX'):
            kept.pop(name, None)
        own = {'PATH': self.path, 'UV_CACHE_DIR': str(self.root.parent / 'cache')}
        return subprocess.run(
            ['make', *arguments],
            cwd=self.root,
            env={**kept, **own, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
