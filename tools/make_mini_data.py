"""Writes generated mini data in the layouts of ADE20K, COCO and ImageNet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
if (_ROOT / 'mmsepvit' / '__init__.py').is_file():  # run from a repository, installed or not
    sys.path.insert(0, str(_ROOT))

from rich.progress import Progress  # noqa: E402

from mmsepvit.mini import Counts, MiniDataError, ensure_mini_data, write_mini_data  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument('--root', type=Path, default=Path('data/mini'), help='folder to make (default: data/mini)')
    parser.add_argument('--seed', type=int, default=0, help='seed of all scenes (default: 0)')
    parser.add_argument('--force', action='store_true', help='write again even if the data is there already')
    args = parser.parse_args()
    if args.seed < 0:
        parser.error(f'argument --seed: must be 0 or more, got {args.seed}')
    return args


def main() -> int:
    """Make the data and say what was made; returns the exit status."""
    args = parse_args()
    make = write_mini_data if args.force else ensure_mini_data
    drawn = 0
    try:
        with Progress(transient=True) as bar:
            task = bar.add_task('drawing scenes', total=None)

            def show(what: str, done: int, total: int) -> None:
                nonlocal drawn
                drawn = done
                bar.update(task, description=what, completed=done, total=total)

            root = make(args.root, args.seed, progress=show)
    except MiniDataError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('stopped; nothing was written', file=sys.stderr)
        return 130
    counts = Counts()
    print(f'{root.resolve()}: {"written" if drawn else "already there"}, seed {args.seed}')
    print(f'  ade       {counts.train} training and {counts.val} validation scenes')
    print('  coco      the same scenes with instances')
    print(f'  imagenet  {counts.class_train} training and {counts.class_val} validation a class')
    return 0


if __name__ == '__main__':
    sys.exit(main())
