"""The command line of ``tools/test.py``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..checkpoints.fits import check_fits
from ..checkpoints.read import read_checkpoint, reading_safely
from ..configs.preflight import check_parts, check_work_dir
from ..configs.testing import (
    add_label_maps,
    augment_test,
    check_out,
    draw_predictions,
    dump_metric,
    keep_the_trained_config,
)
from .command import Parser
from .running import add_common, build, load, look_for_data


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the arguments of ``tools/test.py``."""
    parser = Parser('test.py', 'Tests a checkpoint of a segmentor, detector or classifier.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--show-dir', help='folder for the images with their predictions drawn')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--out', help='.pkl file for the predictions; for segmentation also a folder for PNG maps')
    add_common(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> dict[str, Any]:
    """Tests a checkpoint, as ``tools/test.py`` does.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        The metrics.

    Raises:
        UserError: Something about the arguments, the data or the machine must be put right.
    """
    args = parse(argv)
    with reading_safely(args.trust):
        return _test(args)


def _test(args: argparse.Namespace) -> dict[str, Any]:
    config, notes = load(args)
    check_parts(config, 'test')
    keep_the_trained_config(config)
    if args.out:
        check_out(config, args.out)
    if args.show_dir:
        check_work_dir(args.show_dir, '--show-dir')
    notes += check_fits(args.checkpoint, read_checkpoint(args.checkpoint), config)
    config.update(load_from=args.checkpoint, resume=False)
    look_for_data(config, args.mini, ('test',))
    if args.show_dir:
        draw_predictions(config, args.show_dir)
    if args.tta:
        notes += augment_test(config)
    pickled = args.out and Path(args.out).suffix in ('.pkl', '.pickle')
    if args.out and not pickled:
        add_label_maps(config, args.out)
    runner = build(config, notes)
    if pickled:
        runner.test_evaluator.metrics.append(dump_metric(config.default_scope, args.out))
    return runner.test()
