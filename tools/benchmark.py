"""Times backbones in turn and counts what they keep and copy; ``benchmark.py --help`` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / 'mmsepvit' / '__init__.py').is_file():  # run from a repository, installed or not
    sys.path.insert(0, str(_ROOT))

if __name__ == '__main__':
    try:
        from mmsepvit.benchmark.cli import benchmark
        from mmsepvit.engine.errors import run_command
    except ModuleNotFoundError as error:
        sys.exit(f'error: {error}\nInstall the packages of one stack first, see README.md.')
    sys.exit(run_command(benchmark))
