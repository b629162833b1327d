"""The command line of ``tools/get_flops.py``."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout

from ..configs.load import apply_options, load_config
from ..configs.preflight import check_stack
from ..evaluation.flops import count_config, format_table
from .command import Parser, add_options, whole_number


def main(argv: list[str]) -> None:
    """The command line of ``tools/get_flops.py``.

    Args:
        argv: Its arguments, without the program's name.

    Raises:
        UserError: Something about the arguments or the config must be put right.
    """
    parser = Parser('get_flops.py', 'Counts parameters and multiply-adds of a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=whole_number(1),
        metavar=('H', 'W'),
        help='height and width of the image (default: 224 224 for classification, 512 2048 for segmentation, '
        '800 1280 for detection)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON, in single parameters and multiply-adds')
    add_options(parser)
    args = parser.parse_args(argv)
    with redirect_stdout(sys.stderr):  # the packages' log writes to the standard output, where only the result belongs
        config = load_config(args.config)
        check_stack(config.default_scope)
        for note in apply_options(config, args.cfg_options):
            print(note)
        count = count_config(config, tuple(args.shape) if args.shape else None)
    if args.json:
        print(json.dumps({'config': args.config, **count.as_dict()}, indent=2))
        return
    print(f'{args.config} at {count.shape[0]}x{count.shape[1]} (height x width), one image')
    print(format_table(count))
    if count.paper not in (None, count.full):
        print('paper: without attention products and auxiliary head, with an unused 1000-class layer; docs/counting.md')
