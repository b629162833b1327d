"""What training and testing do alike: common options, loading a config, building the runner."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..checkpoints.start import Start
from ..config_tree import name_classes
from ..configs.load import apply_options, load_config
from ..configs.mini import apply_mini, make_mini_data
from ..configs.preflight import check_data, check_launcher, check_stack, check_work_dir
from ..configs.values import check_values
from ..engine.runner import build_runner, distribute_on_cpu
from ..evaluation.tables import PresentClasses
from .command import add_options, add_trust, whole_number
from .swapping import swap_as_asked


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
    parser.add_argument(
        '--seed',
        type=whole_number(0, 2**32 - 1),  # numpy's range
        metavar='N',
        help='seed of everything drawn, to repeat a run (default: that of the config, else a new one each time)',
    )
    parser.add_argument(
        '--skip-bad',
        type=whole_number(0),
        default=0,
        metavar='N',
        help='leave out samples that cannot be loaded, up to N of them (default: 0, the first one ends the run)',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def load(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """What training and testing do alike before they look at anything but the config."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    check_launcher(args.launcher)
    config = load_config(args.config)
    check_stack(config.default_scope)
    config, notes = swap_as_asked(config, args)
    notes += apply_mini(config) if args.mini else []
    notes += apply_options(config, args.cfg_options)
    check_values(config)
    config.randomness = {'seed': None, **(config.get('randomness') or {})}
    if args.seed is not None:
        config.randomness.seed = args.seed
    config.launcher = args.launcher
    config.skip_bad = args.skip_bad or config.get('skip_bad', 0)
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
    name_classes(config._cfg_dict)
    runner = build_runner(config, start.meta if start else None)
    for note in [*notes, f'seed {runner.seed}; --seed {runner.seed} draws the same again']:
        runner.logger.warning(note)
    runner.logger.addFilter(PresentClasses())
    return runner
