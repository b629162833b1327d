"""The command line of ``tools/check_data.py``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ..configs.load import apply_options, load_config
from ..configs.mini import apply_mini, make_mini_data
from ..configs.preflight import check_stack
from ..configs.values import check_values
from ..datasets.check import FAULTS, Fault, Report, check_data
from ..errors import UserError, did_you_mean
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
        raise UserError(
            f'--allow {unknown[0]}: there is no such fault.{did_you_mean(unknown[0], FAULTS)} --help lists them.'
        )
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task('reading', total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        reports = check_data(config, workers, advance)
    print_reports(reports, console, limit)
    kinds = Counter(fault.kind for report in reports for fault in report.faults)
    count = sum(number for kind, number in kinds.items() if kind not in allowed)
    tolerated = sum(kinds.values()) - count
    console.print(
        f'{count} faults' if count else 'no faults',
        *([f'({tolerated} allowed)'] if tolerated else []),
        style='bold red' if count else 'bold green',
    )
    return count


def print_reports(reports: Sequence[Report], console: Console, limit: int = 10) -> None:
    """Prints a table of counts, then the faults of each kind and what to do about them.

    Args:
        reports: The reports.
        console: Where to print.
        limit: Faults of a kind and data set to print; 0 prints all.
    """
    table = Table('', *(', '.join(report.splits) for report in reports))
    table.add_row('class', *(escape(report.dataset) for report in reports))
    table.add_row('root', *(escape(report.root) for report in reports))
    for name in dict.fromkeys(name for report in reports for name in report.counts):
        table.add_row(name, *(str(report.counts.get(name, '-')) for report in reports))
    table.add_row('faults', *(str(len(report.faults)) for report in reports))
    console.print(table)
    for report in reports:
        by_kind: dict[str, list[Fault]] = defaultdict(list)
        for fault in report.faults:
            by_kind[fault.kind].append(fault)
        for kind, faults in by_kind.items():
            meaning, cure = FAULTS[kind]
            console.print(f'{", ".join(report.splits)}: {kind}: {meaning} ({len(faults)}); {cure}', style='bold')
            for fault in faults[: limit or None]:
                what = f': {fault.what}' if fault.what else ''
                console.print(f'  {fault.where}{what}', markup=False, highlight=False, soft_wrap=True)
            if limit and len(faults) > limit:
                console.print(f'  and {len(faults) - limit} more')


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
    parser.add_argument('--workers', type=whole_number(0), help='processes that read (default: one a CPU)')
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
    check_values(config)
    if run_checks(config, args.workers, args.limit, args.allow):
        raise SystemExit(1)
