"""The command lines of ``tools/train.py`` and ``tools/test.py``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..mini import MiniDataError
from ..swap import SwapError, arch_of, swap
from .checkpoint import check_fits, check_pretrained, latest_checkpoint, read_checkpoint
from .config import OptionsAction, apply_options, load_config
from .errors import EXIT_USER_ERROR, UserError, launched_rank
from .mini import apply_mini, make_mini_data
from .precision import DTYPES, set_precision
from .preflight import check_data, check_launcher, check_stack, check_work_dir
from .runner import build_runner, distribute_on_cpu
from .testing import add_label_maps, augment_test, check_out, draw_predictions, dump_metric


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line or two, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        if launched_rank() == 0:
            self._print_message(f'error: {message}\n{self.prog} --help lists the options.\n')
        raise SystemExit(EXIT_USER_ERROR)


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument('config', help='config file')
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/NAME_OF_CONFIG)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override keys of the config, e.g. train_dataloader.batch_size=4 '
        'model.backbone.with_cp=True param_scheduler.0.end=100',
    )
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none', help='job launcher')
    parser.add_argument(
        '--mini',
        action='store_true',
        help='generated data, small images and a short schedule, for minutes on a CPU',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_train(argv: list[str]) -> argparse.Namespace:
    """Parses the arguments of ``tools/train.py``."""
    parser = _parser('train.py', 'Trains a segmentor, detector or classifier with SepViT.')
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
    parser.add_argument(
        '--backbone',
        metavar='sepvit-ARCH',
        help='put SepViT in place of the backbone of any config, which may be one that a package ships '
        '(mmdet::…, mmseg::…, mmpretrain::…): sepvit-lite, -tiny, -small or -base',
    )
    _add_common(parser)
    # "--amp CONFIG" means fp16: an optional value must not swallow the config.
    argv = [
        '--amp=fp16' if word == '--amp' and argv[i + 1 : i + 2] not in ([d] for d in DTYPES) else word
        for i, word in enumerate(argv)
    ]
    return parser.parse_args(argv)


def parse_test(argv: list[str]) -> argparse.Namespace:
    """Parses the arguments of ``tools/test.py``."""
    parser = _parser('test.py', 'Tests a checkpoint of a segmentor, detector or classifier.')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--show-dir', help='folder for the images with their predictions drawn')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--out', help='.pkl file for the predictions; for segmentation also a folder for PNG maps')
    _add_common(parser)
    return parser.parse_args(argv)


def _swap(config: Config, backbone: str) -> tuple[Config, list[str]]:
    """Does what ``--backbone`` asks for; returns a new config and what changed, for the log."""
    try:
        report = swap(config, arch_of(backbone))
    except SwapError as error:
        raise UserError(f'--backbone {backbone}: {error}') from None
    return report.config, [f'--backbone {backbone}: {report}']


def _load(args: argparse.Namespace, backbone: str | None = None) -> tuple[Config, list[str]]:
    """What training and testing do alike before they look at anything but the config."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    check_launcher(args.launcher)
    config = load_config(args.config)
    check_stack(config.default_scope)
    config, notes = _swap(config, backbone) if backbone else (config, [])
    notes += apply_mini(config) if args.mini else []
    notes += apply_options(config, args.cfg_options)
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    check_work_dir(config.work_dir)
    return config, notes


def _look_for_data(config: Config, mini: bool, splits: tuple[str, ...]) -> None:
    if mini:
        try:
            make_mini_data()
        except MiniDataError as error:
            raise UserError(str(error)) from None
    check_data(config, splits)


def _complete_dataloaders(config: Config) -> None:
    """Adds what the packages' own scripts add where a config says nothing."""
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if not loader:
            continue
        workers = loader.setdefault('num_workers', 0)
        if config.default_scope == 'mmpretrain':
            loader.setdefault('collate_fn', {'type': 'default_collate'})
            loader.setdefault('pin_memory', torch.cuda.is_available())
            loader.setdefault('persistent_workers', workers > 0)
        if workers == 0:  # torch refuses what only workers can do
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)


def _build(config: Config, notes: list[str], resume_iter: int = 0) -> Runner:
    _complete_dataloaders(config)
    if config.default_scope == 'mmdet':
        from mmdet.utils import setup_cache_size_limit_of_dynamo

        setup_cache_size_limit_of_dynamo()
    if config.get('visualizer'):
        # Under a fixed name, a second run of one process would write into the first one's folder.
        config.visualizer.pop('name', None)
    notes = notes + distribute_on_cpu(config, config.launcher)
    runner = build_runner(config, resume_iter)
    for note in notes:
        runner.logger.info(note)
    return runner


def train(argv: list[str]) -> None:
    """Trains a config, as ``tools/train.py`` does.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments, the data or the machine must be put right.
    """
    args = parse_train(argv)
    config, notes = _load(args, args.backbone)
    notes += set_precision(config, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
            raise UserError(
                f"--auto-scale-lr: config '{args.config}' has no auto_scale_lr.base_batch_size, the "
                'batch that its rate is meant for.'
            )
        config.auto_scale_lr.enable = True
    resume_iter, resume_notes = _set_start(config, args.resume)
    _look_for_data(config, args.mini, ('train', 'val') if config.get('val_cfg') else ('train',))
    _build(config, notes + resume_notes, resume_iter).train()


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


def test(argv: list[str]) -> dict[str, Any]:
    """Tests a checkpoint, as ``tools/test.py`` does.

    Args:
        argv: Arguments of the command line, without the program's name.

    Returns:
        The metrics.

    Raises:
        UserError: Something about the arguments, the data or the machine must be put right.
    """
    args = parse_test(argv)
    config, notes = _load(args)
    if args.out:
        check_out(config, args.out)
    if args.show_dir:
        check_work_dir(args.show_dir, '--show-dir')
    checkpoint = read_checkpoint(args.checkpoint)
    check_fits(args.checkpoint, checkpoint, config)
    del checkpoint
    config.update(load_from=args.checkpoint, resume=False)
    _look_for_data(config, args.mini, ('test',))
    if args.show_dir:
        draw_predictions(config, args.show_dir)
    if args.tta:
        notes += augment_test(config)
    pickled = args.out and Path(args.out).suffix in ('.pkl', '.pickle')
    if args.out and not pickled:
        add_label_maps(config, args.out)
    runner = _build(config, notes)
    if pickled:
        runner.test_evaluator.metrics.append(dump_metric(config.default_scope, args.out))
    return runner.test()
