"""The command line of ``tools/swap_backbone.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..configs.swap.report import SwapReport
from ..configs.swap.swap import swap
from ..errors import UserError
from .command import OptionsAction, Parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = Parser(
        'swap_backbone.py',
        'Puts SepViT in place of the backbone of a detector, segmentor or classifier.',
    )
    parser.add_argument('config', help='config file, or one that a package ships: mmdet::…, mmseg::…, mmpretrain::…')
    parser.add_argument('--arch', default='tiny', help='lite, tiny, small or base (default: tiny)')
    parser.add_argument('--out', help='file for the new config, .py, .json or .yml (default: only tell what changes)')
    parser.add_argument(
        '--set',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='further arguments of SepViT, e.g. with_cp=True drop_path_rate=0.1 frozen_stages=-1',
    )
    parser.add_argument('--path', help='the backbone to replace where there are several, e.g. model.detector.backbone')
    parser.add_argument('--swap-teachers', action='store_true', help='give teachers of distillation SepViT too')
    return parser.parse_args(argv)


def write(report: SwapReport, out: str | Path) -> Path:
    """Writes the new config.

    Raises:
        UserError: The file cannot be written.
    """
    path = Path(out)
    if path.suffix not in ('.py', '.json', '.yml', '.yaml'):
        raise UserError(f"--out '{out}': a config is a .py, .json or .yml file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        report.config.dump(path)
    except OSError as error:
        raise UserError(f"--out '{out}' cannot be written: {error.strerror or error}") from None
    return path


def main(argv: list[str]) -> None:
    """Swaps a config, prints what changes and writes it where asked.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: The config cannot be swapped or written, or an argument does not fit.
    """
    args = parse(argv)
    taken = sorted(set(args.set) & {'cfg', 'arch', 'path', 'swap_teachers'})
    if taken:
        raise UserError(f'--set {taken[0]}: this has an option of its own, --{taken[0].replace("_", "-")}')
    report = swap(args.config, args.arch, path=args.path, swap_teachers=args.swap_teachers, **args.set)
    print(report)
    if args.out:
        print(f'written: {write(report, args.out)}')
