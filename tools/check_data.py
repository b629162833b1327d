#!/usr/bin/env python
"""Reads every file of a config's data sets: counts, and all that is wrong with them.

Exits with 0 where all is well, 1 where there are faults, 2 where it cannot check.
"""

from __future__ import annotations

import argparse
import sys

from mmsepvit.engine.check_data import FAULTS, run_checks
from mmsepvit.engine.config import OptionsAction, apply_options, load_config
from mmsepvit.engine.errors import run_command
from mmsepvit.engine.mini import apply_mini, make_mini_data
from mmsepvit.engine.preflight import check_stack


def parse_args(argv: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='faults: ' + ', '.join(FAULTS),
    )
    parser.add_argument('config', help='config file of any of the three tasks')
    parser.add_argument('--mini', action='store_true', help='check the generated mini data')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', help='override config keys')
    parser.add_argument('--workers', type=int, help='threads that read (default: one a CPU)')
    parser.add_argument('--limit', type=int, default=10, help='faults of a kind to print, 0 for all (default: 10)')
    parser.add_argument('--allow', nargs='+', default=[], metavar='FAULT', help='kinds of faults not to fail on')
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Checks, prints, and exits with 1 where there are faults."""
    args = parse_args(argv)
    config = load_config(args.config)
    check_stack(config.default_scope)
    if args.mini:
        apply_mini(config)
        make_mini_data()
    apply_options(config, args.cfg_options)
    if run_checks(config, args.workers, args.limit, args.allow):
        raise SystemExit(1)


if __name__ == '__main__':
    sys.exit(run_command(main))
