"""The command line of ``tools/benchmark.py``."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path
from typing import Any

import torch

from mmsepvit.cli.command import Parser, whole_number
from mmsepvit.errors import UserError, did_you_mean

from .machine import describe_machine
from .models import BUILDERS
from .run import ENGINES, PRECISIONS, Result, Setting, run_setting
from .table import format_results, title


def main(argv: list[str]) -> None:
    """Times models in turn and says what they keep, copy and waste.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments or the machine must be put right.
    """
    args = _parser().parse_args(argv)
    if args.load:
        machine, results = _load_all(args.load)
    else:
        device = _device(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        _check_models(args.models)
        machine = describe_machine(device)
        with redirect_stdout(sys.stderr):  # packages print as they are imported; the standard output has the results
            results = _run(args, device)
    text = json.dumps({'machine': machine, 'results': [result.as_dict() for result in results]}, indent=1)
    if args.out:
        Path(args.out).write_text(text + '\n')
    if args.plots:
        from .plots import draw_plots

        for path in draw_plots(machine, [each for each in results if not each.over_eager], Path(args.plots)):
            print(path, file=sys.stderr)
    print(text if args.json else format_results(machine, results))


def _run(args: argparse.Namespace, device: str) -> list[Result]:
    results: list[Result] = []
    settings = product(args.modes, args.precisions, args.engines, args.sizes, args.batches)
    for mode, precision, engine, size, batch in settings:
        setting = Setting(size, batch, precision, mode, engine)
        say = lambda text, setting=setting: print(f'{title(setting)}: {text}', file=sys.stderr, flush=True)  # noqa: E731
        torch._dynamo.reset()
        results += run_setting(args.models, setting, args.rounds, device, say)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        'benchmark.py',
        'Times backbones in turn, in one process, and counts what they keep and copy.',
        epilog='Every list is crossed with every other. The defaults take about five minutes on two cores.',
    )
    many: dict[str, Any] = {'nargs': '+'}
    parser.add_argument(
        '--models',
        **many,
        default=['sepvit-tiny', 'plain-tiny', 'swin-tiny', 'twins-svt-small'],
        help=f'the first is the reference of the ratios; of {", ".join(BUILDERS)} (default: %(default)s)',
    )
    parser.add_argument('--sizes', **many, type=_size, default=[(512, 512)], metavar='H[xW]', help='(default: 512)')
    parser.add_argument('--batches', **many, type=whole_number(1), default=[1], metavar='N', help='(default: 1)')
    parser.add_argument('--precisions', **many, choices=PRECISIONS, default=['fp32'], help='(default: fp32)')
    parser.add_argument(
        '--modes', **many, choices=('inference', 'training'), default=['inference', 'training'], help='(default: both)'
    )
    parser.add_argument('--engines', **many, choices=ENGINES, default=['eager'], help='(default: eager)')
    parser.add_argument(
        '--rounds', type=whole_number(1), default=7, help='times that each model has its turn (default: 7)'
    )
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto', help='(default: cuda if there is)')
    parser.add_argument(
        '--threads', type=whole_number(1), help="threads of the CPU (default: torch's, OMP_NUM_THREADS)"
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of the table')
    parser.add_argument('--out', metavar='FILE', help='write the results as JSON too')
    parser.add_argument('--plots', metavar='FOLDER', help='draw them as PNG files')
    parser.add_argument('--load', nargs='+', metavar='FILE', help='measure nothing; read what --out has written')
    return parser


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition('x')
    return whole_number(1)(height), whole_number(1)(width or height)


def _device(name: str) -> str:
    if name == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: torch sees no GPU here.')
    return ('cuda' if torch.cuda.is_available() else 'cpu') if name == 'auto' else name


def _check_models(names: list[str]) -> None:
    for name in names:
        if name not in BUILDERS:
            raise UserError(f"--models: there is no '{name}'.{did_you_mean(name, BUILDERS)} See --help.")


def _load_all(paths: list[str]) -> tuple[dict[str, Any], list[Result]]:
    machines, results = zip(*map(_load, paths))
    for path, machine in zip(paths, machines):
        different = [key for key in machine if key not in ('time', 'load') and machine[key] != machines[0].get(key)]
        if different:
            raise UserError(f"--load '{path}': measured with another {', '.join(different)} than '{paths[0]}'.")
    return machines[0], [result for part in results for result in part]


def _load(path: str) -> tuple[dict[str, Any], list[Result]]:
    try:
        content = json.loads(Path(path).read_text())
        return content['machine'], [Result.from_dict(values) for values in content['results']]
    except FileNotFoundError:
        raise UserError(f"--load '{path}': there is no such file.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--load '{path}': not what --out writes ({type(error).__name__}: {error}).") from None
