"""The command line of ``tools/train.py``."""

from __future__ import annotations

import argparse
import gc
import signal
import sys

from torch.nn import Module

from ..checkpoints.read import reading_safely
from ..checkpoints.start import find_start
from ..checkpoints.write import FULL
from ..configs.agreement import check_agreement
from ..configs.preflight import check_parts
from ..engine.checkpointing import checkpoint_activations, prefer_with_cp
from ..engine.precision import DTYPES, set_precision
from ..engine.starting import check_channels, random_start
from ..engine.stopping import TrainingStopped
from ..errors import UserError
from .command import Parser, launched_rank
from .running import add_common, build, load, look_for_data
from .swapping import add_swap_options


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the arguments of ``tools/train.py``."""
    parser = Parser('train.py', 'Trains a segmentor, detector or classifier with SepViT.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from this checkpoint; without a name, from the last one in the work directory',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=DTYPES,
        help='mixed precision: fp16 (GPU only) or bf16 (CPU too)',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the rate with the batch size, from the auto_scale_lr of the config',
    )
    add_swap_options(parser)
    add_common(parser)
    # "--amp CONFIG" means fp16: an optional value must not swallow the config.
    argv = [
        '--amp=fp16' if word == '--amp' and argv[i + 1 : i + 2] not in ([d] for d in DTYPES) else word
        for i, word in enumerate(argv)
    ]
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Trains a config, as ``tools/train.py`` does.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        The exit code: 0, or 128 and the number of the signal that stopped the training.

    Raises:
        UserError: Something about the arguments, the data or the machine must be put right.
    """
    args = parse(argv)
    stopped = 0
    try:
        with reading_safely(args.trust):
            _train(args)
    except TrainingStopped as error:
        if launched_rank() == 0:
            print(error, file=sys.stderr)
        stopped = 128 + error.signal
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f'the disk is full ({error}). Make room on it, then go on: the same command with --resume.'
        ) from None
    _end_workers()
    return stopped


def _end_workers() -> None:
    """Ends the data loading processes of a stopped training, or the whole process at another Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    signal.signal(signal.SIGINT, before)


def _train(args: argparse.Namespace) -> None:
    config, notes = load(args)
    check_parts(config, 'train')
    notes += set_precision(config, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
            raise UserError(
                f"--auto-scale-lr: config '{args.config}' has no auto_scale_lr.base_batch_size, the "
                'batch that its rate is meant for.'
            )
        config.auto_scale_lr.enable = True
    notes += check_agreement(config)
    notes += prefer_with_cp(config)
    start = find_start(config, args.resume)
    if args.seed not in (None, config.randomness.seed):
        raise UserError(f'--seed {args.seed}: the run to resume has the seed {config.randomness.seed}; leave it out.')
    look_for_data(config, args.mini, ('train', 'val') if config.get('val_cfg') else ('train',))
    runner = build(config, notes + start.notes, start)
    if isinstance(runner.model, Module):  # a strategy builds it later, and checkpoints its activations itself
        check_channels(runner.model)
        checkpoint_activations(runner)
        warning = random_start(runner.model, config)
        if warning:
            runner.logger.warning(warning)
    runner.train()
