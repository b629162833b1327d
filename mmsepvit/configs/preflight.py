"""Checks before anything is built or written, each ending in a message that says what to do."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS

from ..config_tree import as_list, builds, datasets_of
from ..errors import UserError

_INSTALL = (
    'Install the stack with `make test` (STACK=onedl for the other one) or '
    "pip install 'mmsepvit[openmmlab]', see README.md."
)
_LAUNCHER_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK'),
}
_LAUNCHER_HELP = {
    'pytorch': 'start the run with tools/dist_train.sh CONFIG GPUS or tools/dist_test.sh',
    'slurm': 'start the run with srun',
    'mpi': 'start the run with mpirun',
}
_DATA_NAMES = {'mmseg': 'ADE20K', 'mmdet': 'COCO', 'mmpretrain': 'ImageNet'}

_PARTS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
_VERBS = {'train': 'train', 'val': 'validate', 'test': 'test'}


def check_launcher(launcher: str) -> None:
    """Refuses a launcher that has not started this process.

    Raises:
        UserError: A variable that the launcher sets is missing.
    """
    missing = [name for name in _LAUNCHER_VARIABLES.get(launcher, ()) if name not in os.environ]
    if missing:
        raise UserError(
            f'--launcher {launcher}: {", ".join(missing)} not set, so no such launcher started this '
            f'process.\nTo run on several GPUs, {_LAUNCHER_HELP[launcher]}; leave --launcher out '
            'to run on one.'
        )


def check_stack(scope: str) -> None:
    """Imports the packages that a config needs.

    Args:
        scope: The config's ``default_scope``.

    Raises:
        UserError: One is missing, or does not fit the others.
    """
    names = ['mmcv', 'mmcv.ops', scope]
    parts = ('models', 'datasets', 'evaluation', *(('engine',) if scope != 'mmrotate' else ()))  # it uses mmdet's
    names += [f'{scope}.{part}' for part in parts]
    for name in names:
        try:
            # onedl's packages tell of every optional part that is not there, before any message of ours
            with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
                warnings.simplefilter('ignore')
                import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or name
            if missing == 'mmcv._ext':
                missing = "mmcv's compiled ops (mmcv-lite has none)"
            raise UserError(f"'{missing}' is not installed, and this config needs {scope}.\n{_INSTALL}") from None
        except (ImportError, AssertionError) as error:  # packages assert the versions they know
            first = str(error).strip().split('\n')[0]
            raise UserError(f"'{name}' cannot be imported: {first}\n{_INSTALL}") from None


def check_parts(config: Config, needed: str) -> None:
    """Checks that a config has all of what a training, a validation or a test is built from, or nothing of it.

    Args:
        config: The config.
        needed: 'train' or 'test': what is going to be run.

    Raises:
        UserError: Something is missing.
    """
    if not config.get('model'):
        raise UserError(f"config '{config.filename}' has no model.")
    for split, keys in _PARTS.items():
        missing = [key for key in keys if config.get(key) is None]
        if missing and (split == needed or len(missing) < len(keys)):
            raise UserError(
                f"config '{config.filename}' has no {', '.join(missing)}; to {_VERBS[split]}, it needs all of "
                f'{", ".join(keys)}.\nWhere the data of the validation are also those of the test, write '
                'test_dataloader = val_dataloader and so on.'
            )


def check_work_dir(folder: str, option: str = '--work-dir') -> None:
    """Tries whether a folder can be made and written to, and leaves nothing behind.

    Args:
        folder: The folder, which need not exist.
        option: Option to name in the message.

    Raises:
        UserError: It cannot.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f'{existing} is a file')
        with tempfile.TemporaryDirectory(dir=existing, prefix='.mmsepvit-'):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{option} '{folder}' cannot be written: {reason}.\nChoose another folder with {option}."
        ) from None


def check_data(config: Config, splits: tuple[str, ...]) -> None:
    """Looks for the folders and annotation files of a config's datasets.

    Args:
        config: The config.
        splits: 'train', 'val', 'test': those whose dataloaders are going to be used.

    Raises:
        UserError: One is missing or empty.
    """
    for split in splits:
        loader = config.get(f'{split}_dataloader') or {}
        for where, dataset in datasets_of(loader.get('dataset'), f'{split}_dataloader.dataset'):
            for key, path in _paths(dataset, config.default_scope):
                _check_path(path, f'{where}.{key}', config)
        for metric in as_list(config.get(f'{split}_evaluator')):
            if metric.get('ann_file'):
                _check_path(Path(metric['ann_file']), f'{split}_evaluator.ann_file', config)


def _paths(dataset: dict, scope: str) -> Iterator[tuple[str, Path]]:
    root = Path(dataset.get('data_root') or '')
    if dataset.get('data_root'):
        yield 'data_root', root
    prefix = dataset.get('data_prefix') or {}
    if isinstance(prefix, str):
        prefix = {'': prefix}
    for key, folder in prefix.items():
        if folder:
            yield f'data_prefix.{key}'.rstrip('.'), root / folder
    if dataset.get('split') and not prefix and scope == 'mmpretrain':
        from mmpretrain.datasets import ImageNet

        if builds(dataset, ImageNet, scope, DATASETS):  # takes the folder of this name; others know theirs
            yield 'split', root / dataset['split']
    if dataset.get('ann_file'):
        yield 'ann_file', root / dataset['ann_file']


def _check_path(path: Path, key: str, config: Config) -> None:
    if '://' in str(path) or ':/' in str(path):  # a store that mmengine reads by itself
        return
    try:
        if path.is_file() and path.stat().st_size > 0:
            return
        if path.is_dir() and next(path.iterdir(), None) is not None:
            return
        state = 'is empty' if path.exists() else 'does not exist'
    except OSError as error:
        state = f'cannot be read ({error.strerror})'
    name = _DATA_NAMES.get(config.get('default_scope', ''), 'the data')
    raise UserError(
        f"no data: '{path}' ({key}) {state}.\n"
        f'docs/data.md says where to get {name} and how to lay it out under that path.\n'
        'To train and test without it, add --mini: it makes its own small data set.'
    )
