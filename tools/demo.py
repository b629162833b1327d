"""Trains and tests SepViT on mini data and shows the result; ``demo.py --help`` lists the options."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

_TOOLS = Path(__file__).resolve().parent
if (_TOOLS.parent / 'mmsepvit' / '__init__.py').is_file():  # run from a repository, installed or not
    sys.path.insert(0, str(_TOOLS.parent))

if __name__ == '__main__':
    try:
        from mmsepvit.engine.demo import demo
        from mmsepvit.engine.errors import run_command
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(2)
    sys.exit(run_command(partial(demo, tools=_TOOLS)))
