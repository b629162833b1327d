"""Tries SepViT in every algorithm that the packages ship; ``swap_matrix.py --help`` lists the options."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / 'mmsepvit' / '__init__.py').is_file():  # run from a repository, installed or not
    sys.path.insert(0, str(_ROOT))

if __name__ == '__main__':
    try:
        from mmsepvit.swap.matrix_cli import main
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1:]))
