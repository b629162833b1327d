"""The command line of ``tools/check_data.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mmengine.config import Config
from rich.console import Console
from rich.progress import Progress

from ..configs.load import apply_options, load_config
from ..configs.mini import apply_mini, make_mini_data
from ..configs.preflight import check_stack
from ..datasets.check import FAULTS, check_data, print_reports
from ..errors import UserError
from .command import Parser, add_options, whole_number


def run_checks(config: Config, workers: int | None = None, limit: int = 10, allow: Iterable[str] = ()) -> int:
    """Checks a config's data sets and prints what was found.

    Args:
        config: The config.
        workers: See :func:`check_data`.
        limit: See :func:`print_reports`.
        allow: Kinds of faults that are printed, but do not count.

    Returns:
        The number of faults that count.

    Raises:
        UserError: ``allow`` names no kind of fault, or see :func:`check_data`.
    """
    allowed = set(allow)
    unknown = sorted(allowed - set(FAULTS))
    if unknown:
        raise UserError(f'--allow {unknown[0]}: there is no such fault; there are {", ".join(FAULTS)}.')
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task('reading', total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        reports = check_data(config, workers, advance)
    print_reports(reports, console, limit)
    kinds = Counter(fault.kind for report in reports for fault in report.faults)
    if 'missing-folder' in kinds:
        console.print('docs/data.md says where to get the data and how to lay it out.')
    count = sum(number for kind, number in kinds.items() if kind not in allowed)
    tolerated = sum(kinds.values()) - count
    console.print(
        f'{count} faults' if count else 'no faults',
        *([f'({tolerated} allowed)'] if tolerated else []),
        style='bold red' if count else 'bold green',
    )
    return count


def main(argv: list[str]) -> None:
    """The command line of ``tools/check_data.py``.

    Args:
        argv: Its arguments, without the program's name.

    Raises:
        UserError: Something about the arguments or the config must be put right.
        SystemExit: With 1 where there are faults.
    """
    parser = Parser(
        'check_data.py',
        "Reads every file of a config's data sets: counts, and all that is wrong with them.",
        epilog=f'Exits with 0 where all is well, 1 with faults, 2 if it cannot check. Faults: {", ".join(FAULTS)}.',
    )
    parser.add_argument('config', help='config file of any of the three tasks')
    parser.add_argument('--mini', action='store_true', help='check the generated mini data')
    add_options(parser)
    parser.add_argument('--workers', type=whole_number(0), help='threads that read (default: one a CPU)')
    parser.add_argument(
        '--limit', type=whole_number(0), default=10, help='faults of a kind to print, 0 for all (default: 10)'
    )
    parser.add_argument('--allow', nargs='+', default=[], metavar='FAULT', help='kinds of faults not to fail on')
    args = parser.parse_args(argv)
    config = load_config(args.config)
    check_stack(config.default_scope)
    if args.mini:
        apply_mini(config)
        make_mini_data()
    apply_options(config, args.cfg_options)
    if run_checks(config, args.workers, args.limit, args.allow):
        raise SystemExit(1)
