"""The command line of ``tools/train.py``."""

from __future__ import annotations

import argparse

from mmengine.config import Config

from ..checkpoints.read import check_fits, check_pretrained, latest_checkpoint, read_checkpoint
from ..configs.agreement import check_agreement
from ..configs.preflight import check_parts
from ..engine.checkpointing import checkpoint_activations, prefer_with_cp
from ..engine.precision import DTYPES, set_precision
from ..errors import UserError
from .command import Parser
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


def main(argv: list[str]) -> None:
    """Trains a config, as ``tools/train.py`` does.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments, the data or the machine must be put right.
    """
    args = parse(argv)
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
    resume_iter, resume_notes = _set_start(config, args.resume)
    if args.seed not in (None, config.randomness.seed):
        raise UserError(f'--seed {args.seed}: the run to resume has the seed {config.randomness.seed}; leave it out.')
    look_for_data(config, args.mini, ('train', 'val') if config.get('val_cfg') else ('train',))
    runner = build(config, notes + resume_notes, resume_iter)
    checkpoint_activations(runner)
    runner.train()


def _set_start(config: Config, resume: str | None) -> tuple[int, list[str]]:
    """Checks the weights to start from, if any; returns its iteration and notes for the log."""
    notes: list[str] = []
    path = resume
    if resume == 'auto' or (resume is None and config.get('resume') and not config.get('load_from')):
        path, notes = latest_checkpoint(config.work_dir)
    elif resume is None:
        path = config.get('load_from')
    if path is None:
        config.update(resume=False, load_from=None)
        check_pretrained(config)
        return 0, notes
    resuming = resume is not None or bool(config.get('resume'))
    checkpoint = read_checkpoint(path)
    check_fits(path, checkpoint, config, partial=not resuming)
    config.update(resume=resuming, load_from=path)
    if not resuming:
        return 0, notes
    meta = checkpoint.get('meta', {})
    if 'optimizer' not in checkpoint or 'iter' not in meta or 'message_hub' not in checkpoint:
        raise UserError(
            f"--resume '{path}': it holds parameters but no state of a training, so nothing can be "
            'resumed.\nTo start a new training from it, use --cfg-options load_from=' + path
        )
    if meta.get('seed') is not None:
        # mmengine would take it too, but after the order of the data was drawn from another.
        config.setdefault('randomness', {})
        config.randomness.seed = meta['seed']
    return int(meta['iter']), notes
