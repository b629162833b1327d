"""The command line of ``tools/make_mini_data.py``."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress

from ..datasets.mini import Counts, ensure_mini_data, write_mini_data
from .command import Parser, whole_number


def main(argv: list[str]) -> int:
    """Writes the data and says what was written.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        0, or 130 where it was interrupted.

    Raises:
        UserError: The folder cannot be written, or is not one of mini data.
    """
    parser = Parser(
        'make_mini_data.py', 'Writes generated data in the layouts of ADE20K, COCO, ImageNet, Cityscapes and VOC.'
    )
    parser.add_argument('--root', type=Path, default=Path('data/mini'), help='folder to make (default: data/mini)')
    parser.add_argument('--seed', type=whole_number(0), default=0, help='seed of all scenes (default: 0)')
    parser.add_argument('--force', action='store_true', help='write again even if the data is there already')
    args = parser.parse_args(argv)
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
    except KeyboardInterrupt:
        print('stopped; nothing was written')
        return 130
    counts = Counts()
    print(f'{root.resolve()}: {"written" if drawn else "already there"}, seed {args.seed}')
    print(f'  ade, coco, cityscapes, voc: {counts.train} training and {counts.val} validation scenes')
    print(f'  imagenet: {counts.class_train} training and {counts.class_val} validation pictures of each class')
    return 0
