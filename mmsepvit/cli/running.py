"""What training and testing do alike: common options, loading a config, building the runner."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..checkpoints.start import Start
from ..configs.load import apply_options, load_config
from ..configs.mini import apply_mini, make_mini_data
from ..configs.preflight import check_data, check_launcher, check_stack, check_work_dir
from ..configs.swap import arch_of, swap
from ..engine.runner import build_runner, distribute_on_cpu
from ..errors import UserError
from .command import add_options, add_trust


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/NAME_OF_CONFIG)')
    add_options(parser)
    add_trust(parser)
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none', help='job launcher')
    parser.add_argument(
        '--mini',
        action='store_true',
        help='generated data, small images and a short schedule, for minutes on a CPU',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def _swap(config: Config, backbone: str) -> tuple[Config, list[str]]:
    """Does what ``--backbone`` asks for; returns a new config and what changed, for the log."""
    try:
        report = swap(config, arch_of(backbone))
    except UserError as error:
        raise UserError(f'--backbone {backbone}: {error}') from None
    return report.config, [f'--backbone {backbone}: {report}']


def load(args: argparse.Namespace, backbone: str | None = None) -> tuple[Config, list[str]]:
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


def look_for_data(config: Config, mini: bool, splits: tuple[str, ...]) -> None:
    if mini:
        make_mini_data()
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


def build(config: Config, notes: list[str], start: Start | None = None) -> Runner:
    _complete_dataloaders(config)
    if config.default_scope == 'mmdet':
        from mmdet.utils import setup_cache_size_limit_of_dynamo

        setup_cache_size_limit_of_dynamo()
    if config.get('visualizer'):
        # Under a fixed name, a second run of one process would write into the first one's folder.
        config.visualizer.pop('name', None)
    notes = notes + distribute_on_cpu(config, config.launcher)
    runner = build_runner(config, start.meta if start else None)
    for note in notes:
        runner.logger.info(note)
    return runner
