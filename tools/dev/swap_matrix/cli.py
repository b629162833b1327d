"""The command line of ``tools/swap_matrix.py``."""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

from mmsepvit.cli.command import Parser

from .matrix import KINDS, PACKAGES, append, plan, read_log, try_one
from .report import summary, write


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = Parser(
        'swap_matrix.py',
        'Swaps SepViT into the configs that the packages ship, tries each, and writes the coverage page.',
    )
    parser.add_argument(
        '--packages',
        nargs='+',
        choices=PACKAGES,
        default=None,
        help='packages to walk (default: those that are installed)',
    )
    parser.add_argument('--only', nargs='+', default=[], metavar='FOLDER', help='algorithm folders to walk')
    parser.add_argument(
        '--per-folder', type=int, default=1000, help='most structures to try in a folder (default: all)'
    )
    parser.add_argument('--arch', default='lite', help="SepViT's architecture (default: lite)")
    parser.add_argument('--seconds', type=float, default=300, help='processor time for one config (default: 300)')
    parser.add_argument('--memory-gb', type=float, default=10, help='memory for one config (default: 10)')
    parser.add_argument(
        '--log',
        type=Path,
        default=Path('work_dirs/swap_matrix.jsonl'),
        help='what was tried so far, in both stacks (default: work_dirs/swap_matrix.jsonl)',
    )
    parser.add_argument(
        '--out', type=Path, default=Path('docs/swap_matrix.md'), help='the page (default: docs/swap_matrix.md)'
    )
    parser.add_argument('--retry', nargs='+', choices=KINDS, default=[], help='try configs of these kinds again')
    parser.add_argument('--report', action='store_true', help='only write the page from the log')
    return parser.parse_args(argv)


def _walk(args: argparse.Namespace) -> None:
    """Tries what is not in the log yet."""
    packages = args.packages or [name for name in PACKAGES if find_spec(name)]
    for package in packages:
        import_module(f'{package}.models')
    versions = {name: import_module(name).__version__ for name in ('torch', 'mmengine', 'mmcv', *packages)}
    beside = ', '.join(f'{name} {versions[name]}' for name in ('torch', 'mmengine', 'mmcv'))
    args.log.parent.mkdir(parents=True, exist_ok=True)
    known = {(o.package, o.config): o.kind for o in read_log(args.log) if o.version == versions.get(o.package)}
    start, count = time.monotonic(), 0
    is_broken = lambda package, file: known.get((package, file)) == 'broken-upstream'  # noqa: E731
    for package, folder, file in plan(tuple(packages), tuple(args.only), args.per_folder, is_broken):
        kind = known.get((package, file))
        if kind is not None and kind not in args.retry:
            continue
        outcome = try_one(package, folder, file, args.arch, args.seconds, int(args.memory_gb * 2**30))
        outcome = replace(outcome, version=versions[package], beside=beside)
        append(args.log, outcome)
        known[package, file] = outcome.kind
        count += 1
        minutes = (time.monotonic() - start) / 60
        print(
            f'[{count}, {minutes:.1f} min] {package}::{file} {outcome.kind} {outcome.seconds} s {outcome.detail}',
            flush=True,
        )


def main(argv: Sequence[str]) -> int:
    """Runs the command.

    Returns:
        The exit code: 0, or 1 where a config fails.
    """
    args = parse(argv)
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    os.environ.update(HF_HUB_OFFLINE='1', TRANSFORMERS_OFFLINE='1')  # nothing is downloaded
    if not args.report:
        _walk(args)
    outcomes = read_log(args.log)
    write(outcomes, args.out, args.arch)
    for (package, version), counts in summary(outcomes).items():
        print(f'{package} {version}: ' + ', '.join(f'{kind} {number}' for kind, number in counts.items()))
    return int(any(o.kind == 'fails' for o in outcomes))
