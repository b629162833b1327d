"""Trains any config of this project; ``train.py --help`` lists the options."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / 'mmsepvit' / '__init__.py').is_file():  # run from a repository, installed or not
    sys.path.insert(0, str(_ROOT))

# On cores that others use too, threads that spin while they wait cost three times what they compute.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read when torch is imported

if __name__ == '__main__':
    try:
        from mmsepvit.engine.cli import train
        from mmsepvit.engine.errors import run_command
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(2)
    sys.exit(run_command(train))
