"""What a training starts from: nothing, weights of an ``init_cfg`` or a ``load_from``, or the state of a training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import find_latest_checkpoint
from torch import Tensor

from ..errors import UserError
from .fits import check_fits, check_pretrained
from .read import read_checkpoint

STOPPED = 'stopped.pth'
"""Name of the checkpoint of a training that was told to stop, until a later one is written."""


@dataclass
class Start:
    """What a training starts from.

    Attributes:
        meta: ``meta`` of the training state to resume, None where none is resumed.
        notes: Lines for the log.
    """

    meta: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def find_start(config: Config, resume: str | None) -> Start:
    """Finds and checks what a training starts from.

    Args:
        config: The config. ``resume``, ``load_from`` and the seed are set in it.
        resume: What ``--resume`` says: a file, 'auto' for the last one of the work directory, or None.

    Returns:
        The start.

    Raises:
        UserError: A file cannot be read, is of another model, or holds no state of a training where one is resumed.
    """
    notes: list[str] = []
    path = resume
    if resume == 'auto' or (resume is None and config.get('resume') and not config.get('load_from')):
        path, notes = latest_checkpoint(config.work_dir)
    elif resume is None:
        path = config.get('load_from')
    if path is None:
        config.update(resume=False, load_from=None)
        return Start(notes=notes + check_pretrained(config))
    resuming = resume is not None or bool(config.get('resume'))
    checkpoint = read_checkpoint(path)
    resized = check_fits(path, checkpoint, config, partial=not resuming)
    config.update(resume=resuming, load_from=path)
    if not resuming:
        return Start(notes=notes + resized)
    if resized:
        raise UserError(
            f"--resume: {resized[0]}; the optimizer's state of them cannot be.\n"
            'Set model.backbone.input_size as in its training, or begin a new one from its weights: '
            f'--cfg-options load_from={path}'
        )
    check_state(path, checkpoint)
    meta = checkpoint['meta']
    # A config, which is Python, under this key: mmengine would run it when it resumes. No version of it writes one.
    meta.pop('config', None)
    if meta.get('seed') is not None:
        # mmengine would take it too, but after the order of the data was drawn from another.
        config.randomness = {**(config.get('randomness') or {}), 'seed': meta['seed']}
    return Start(meta, notes)


def check_state(path: str, checkpoint: dict[str, Any]) -> None:
    """Checks that a checkpoint holds the state of a training, as mmengine writes it.

    Args:
        path: Its name for the message.
        checkpoint: What `read_checkpoint` returned.

    Raises:
        UserError: It does not.
    """
    meta, hub = checkpoint['meta'], checkpoint.get('message_hub')
    if 'optimizer' not in checkpoint or 'iter' not in meta or hub is None:
        raise UserError(
            f"--resume '{path}': it holds parameters but no state of a training, so nothing can be resumed.\n"
            f'To start a new training from it, use --cfg-options load_from={path}'
        )
    faults = [f'meta.{key} is {meta.get(key)!r}' for key in ('iter', 'epoch') if not _is_count(meta.get(key))]
    parts = ('log_scalars', 'runtime_info', 'resumed_keys')
    if not isinstance(hub, Mapping) or not all(isinstance(hub.get(part), Mapping) for part in parts):
        faults.append(f'message_hub has not the parts {", ".join(parts)}')
    faults += _faults_of_optimizer(checkpoint['optimizer']) + _faults_of_schedulers(checkpoint.get('param_schedulers'))
    if meta.get('seed') is not None and not _is_count(meta['seed']):
        faults.append(f'meta.seed is {meta["seed"]!r}')
    gradients = checkpoint.get('gradients') or {}
    if not isinstance(gradients, Mapping) or not all(isinstance(value, Tensor) for value in gradients.values()):
        faults.append('gradients are no tensors with names')
    if faults:
        raise UserError(f"--resume '{path}': its state of a training is damaged: {'; '.join(faults)}.")


def _faults_of_optimizer(state: Any) -> list[str]:
    if not isinstance(state, Mapping):
        return [f'optimizer is a {type(state).__name__}']
    if 'param_groups' not in state:  # of several optimizers, or of one with a format of its own
        return []
    groups, values = state['param_groups'], state.get('state')
    if not isinstance(groups, list) or not all(isinstance(group, Mapping) for group in groups):
        return ['optimizer.param_groups is no list of groups']
    if not isinstance(values, Mapping) or not all(isinstance(value, Mapping) for value in values.values()):
        return ['optimizer.state is not one of parameters']
    return []


def _faults_of_schedulers(states: Any) -> list[str]:
    lists = list(states.values()) if isinstance(states, Mapping) else [states or []]
    if all(isinstance(each, list) and all(isinstance(state, Mapping) for state in each) for each in lists):
        return []
    return ['param_schedulers is no list of states']


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def latest_checkpoint(work_dir: str) -> tuple[str | None, list[str]]:
    """The newest checkpoint of a work directory that can be read.

    mmengine notes the name of a checkpoint after it is written, so a kill in between leaves the name of the one before,
    or half a name.

    Args:
        work_dir: The directory.

    Returns:
        Its path, None where there never was one; and notes for the log.

    Raises:
        UserError: There are checkpoints, and none can be read.
    """
    candidates = list(dict.fromkeys(_candidates(Path(work_dir))))
    notes = []
    for path in candidates:
        try:
            read_checkpoint(path)
        except UserError as error:
            notes.append(f'left out: {str(error).splitlines()[0]}')
            continue
        return path, notes
    if candidates:
        raise UserError(
            f"--resume: no checkpoint in '{work_dir}' can be read ({Path(candidates[0]).name} and "
            f'{len(candidates) - 1} more).\nLeave --resume out to start from the beginning.'
        )
    return None, [f'nothing to resume in {work_dir}: starting from the beginning']


def _candidates(folder: Path) -> Iterator[str]:
    """Checkpoints of a work directory, the newest first."""
    if not folder.is_dir():
        return
    if (folder / 'last_checkpoint').is_file():
        noted = find_latest_checkpoint(str(folder))
        if noted:
            for place in (folder / Path(noted).name, Path(noted)):  # the work directory may have been moved since
                if place.is_file():
                    yield str(place)
                    break
            else:
                yield str(folder / Path(noted).name)
    if (folder / STOPPED).is_file():
        yield str(folder / STOPPED)
    numbered = [file for file in folder.glob('*_*.pth') if re.fullmatch(r'(iter|epoch)_\d+', file.stem)]
    yield from map(str, sorted(numbered, key=lambda file: int(file.stem.split('_')[1]), reverse=True))
