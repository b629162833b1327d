"""The command line of ``tools/swap_backbone.py``."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..configs.swap import SwapReport, swap
from ..errors import UserError
from .command import OptionsAction, Parser
from .swapping import add_swap_options, backbone_arguments


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = Parser(
        'swap_backbone.py',
        'Puts SepViT in place of the backbone of a detector, segmentor, pose estimator or classifier.',
    )
    parser.add_argument('config', help='config file, or one that a package ships: mmdet::…, mmseg::…, mmpretrain::…')
    parser.add_argument('--arch', default='tiny', help='lite, tiny, small or base (default: tiny)')
    add_swap_options(parser)
    parser.add_argument('--out', help='file for the new config, .py or .yml (default: only tell what changes)')
    parser.add_argument(
        '--set',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='further arguments of SepViT, e.g. with_cp=True drop_path_rate=0.1 frozen_stages=-1',
    )
    parser.add_argument('--path', help='the backbone to replace where there are several, e.g. model.detector.backbone')
    parser.add_argument('--swap-teachers', action='store_true', help='give teachers of distillation the same')
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Swaps a config, prints what changes and writes it where asked.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: The config cannot be swapped or written, or an argument does not fit.
    """
    args = parse(argv)
    options = set(inspect.signature(swap).parameters) - {'backbone_args'}
    taken = sorted(set(args.set) & options)
    if taken:
        raise UserError(f'--set {taken[0]}: this has an option of its own, --{taken[0].replace("_", "-")}')
    if args.out:
        _check_suffix(args.out)
    report = swap(
        args.config,
        recipe=args.recipe,
        pretrained=args.pretrained,
        path=args.path,
        swap_teachers=args.swap_teachers,
        price=True,
        **(backbone_arguments(args.backbone) if args.backbone else {'arch': args.arch}),
        **args.set,
    )
    print(report)
    if args.out:
        print(f'written: {write(report, args.out, args.config)}')


def _check_suffix(out: str) -> None:
    suffix = Path(out).suffix
    if suffix == '.json':
        raise UserError(
            f"--out '{out}': JSON has no tuples, and transforms that want one refuse its lists, so the config could "
            'not be trained.\nWrite a .py or .yml file.'
        )
    if suffix not in ('.py', '.yml', '.yaml'):
        raise UserError(f"--out '{out}': a config is a .py or .yml file")


def write(report: SwapReport, out: str | Path, source: str) -> Path:
    """Writes the new config; what a reader should know stands above it as a comment.

    Args:
        report: The swap.
        out: The file.
        source: The config that it was made from, for the comment.

    Raises:
        UserError: The file cannot be written.
    """
    path = Path(out)
    config = Config(_with_names(report.config.to_dict()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        config.dump(path)
        lines = [f'{report.name} in place of the backbone of {source}, by tools/swap_backbone.py.', *report.remarks()]
        comment = ''.join(f'# {line}\n' for text in lines for line in text.splitlines())
        path.write_text(comment + path.read_text(encoding='utf-8'), encoding='utf-8')
    except OSError as error:
        raise UserError(f"--out '{out}' cannot be written: {error.strerror or error}") from None
    return path


def _with_names(node: Any) -> Any:
    """A copy of a config with the path of a class, by which a registry finds it, in place of the class."""
    if isinstance(node, dict):
        return {key: _with_names(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_with_names(value) for value in node)
    is_named = inspect.isclass(node) or inspect.isfunction(node)
    return f'{node.__module__}.{node.__qualname__}' if is_named else node
