"""Reading checkpoints before a run starts, and saying in words why one does not fit."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader, find_latest_checkpoint
from torch import nn

from ..config_tree import named_nodes
from ..errors import UserError
from ..models import SepViT
from ..models.pretrained import check_transfer


def read_checkpoint(path: str) -> dict[str, Any]:
    """Loads a checkpoint to the CPU.

    Args:
        path: A file, or a URL that mmengine knows.

    Returns:
        The checkpoint, a bare state dict as ``{'state_dict': ...}``.

    Raises:
        UserError: There is no such file, it cannot be read, or holds no parameters.
    """
    file = Path(path)
    if '://' not in path:
        if file.is_dir():
            raise UserError(f"checkpoint '{path}' is a folder; name a .pth file in it.")
        if not file.is_file():
            raise UserError(f"checkpoint '{path}' does not exist.{_neighbours(file)}")
        if file.stat().st_size == 0:
            raise UserError(f"checkpoint '{path}' is an empty file; take another one.")
    try:
        with redirect_stdout(io.StringIO()):  # onedl-mmengine prints what else it tried, before any message of ours
            checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except Exception as error:
        # Reading a file of any kind as a pickle raises anything; all of it means the same.
        reason = str(error).strip().split('\n')[0][:120] or type(error).__name__
        raise UserError(
            f"checkpoint '{path}' cannot be read: it is truncated or no PyTorch checkpoint "
            f'({reason}).\nTake another file; a run that was killed while it saved leaves the one '
            'before whole.'
        ) from None
    if not isinstance(checkpoint, dict):
        raise UserError(f"checkpoint '{path}' holds a {type(checkpoint).__name__}, not parameters.")
    if isinstance(checkpoint.get('model'), Mapping) and 'state_dict' not in checkpoint:
        checkpoint = {**checkpoint, 'state_dict': checkpoint['model']}
    if 'state_dict' not in checkpoint:
        checkpoint = {'state_dict': checkpoint}
    state = checkpoint['state_dict']
    if not isinstance(state, Mapping) or not any(hasattr(value, 'shape') for value in state.values()):
        raise UserError(f"checkpoint '{path}' holds no parameters; take a .pth file of a training.")
    return checkpoint


def _neighbours(file: Path) -> str:
    if not file.parent.is_dir():
        return ''
    names = sorted(other.name for other in file.parent.glob('*.pth'))
    return f' In that folder: {", ".join(names[-3:])}.' if names else ''


def check_fits(path: str, checkpoint: dict[str, Any], config: Config, partial: bool = False) -> None:
    """Compares a checkpoint's keys and shapes with the model of a config.

    Args:
        path: Name of the checkpoint for the message.
        checkpoint: What :func:`read_checkpoint` returned.
        config: The config.
        partial: Whether some parameters may be missing or of another shape (fine-tuning).

    Raises:
        UserError: It is of another model.
    """
    state = _parameters(checkpoint)
    with DefaultScope.overwrite_default_scope(config.default_scope), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the run builds it again and has them; a message of ours shall stand alone
        model = MODELS.build(_model_config(config))
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    # Counters of batches seen are not in every checkpoint, and change nothing.
    missing = [key for key in wanted if key not in state and 'num_batches_tracked' not in key]
    other_shape = [
        key
        for key in wanted
        if key in state
        and tuple(state[key].shape) != wanted[key]
        and not key.endswith('window_token')  # resized to the trained input size when loaded
    ]
    if partial and len(missing) + len(other_shape) < len(wanted):
        return
    if not missing and not other_shape:
        return
    raise UserError(
        f"checkpoint '{path}' is not one of this config's model: {_reason(state, model, config)}\n"
        f'{_first_difference(missing, other_shape, state, wanted)}'
    )


def check_pretrained(config: Config) -> None:
    """Checks the weights that any SepViT of a config starts from (``init_cfg``), before anything is built.

    Args:
        config: The config.

    Raises:
        UserError: A file cannot be read, or its weights are not this SepViT's.
    """
    for path, node in named_nodes(config.model, 'model'):
        init = node.get('init_cfg')
        is_sepvit = node.get('type') in ('SepViT', 'mmsepvit.SepViT')
        if not is_sepvit or not isinstance(init, Mapping) or init.get('type') != 'Pretrained':
            continue
        file, prefix = init['checkpoint'], init.get('prefix', '')
        state = _parameters(read_checkpoint(file))
        prefix = f'{prefix.rstrip(".")}.' if prefix else ''
        weights = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        with torch.device('meta'):
            backbone = SepViT(**{key: value for key, value in node.items() if key not in ('type', 'init_cfg')})
        try:
            check_transfer(backbone, weights or state)
        except ValueError as error:
            raise UserError(f"{path}.init_cfg: checkpoint '{file}': {error}") from None


def _parameters(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state dict, without the prefix that data parallel training leaves."""
    return {re.sub(r'^module\.', '', key): value for key, value in checkpoint['state_dict'].items()}


def _model_config(config: Config) -> dict:
    """The model alone, with the ``data_preprocessor`` that mmengine's Runner would add."""
    model = config.model.copy()
    # A pretrained backbone need not be read for a comparison of shapes.
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    return model


def _first_difference(missing: list, other_shape: list, state: dict, wanted: dict) -> str:
    if other_shape:
        key = other_shape[0]
        shapes = f'is {tuple(state[key].shape)} in the file and {wanted[key]} in the model'
        return f'{len(other_shape)} of {len(wanted)} parameters have another shape, e.g. {key} {shapes}.'
    return f'{len(missing)} of {len(wanted)} parameters are not in the file, e.g. {missing[0]}.'


def _reason(state: dict, model: nn.Module, config: Config) -> str:
    """What the checkpoint is, as far as its keys tell, and what to do."""
    published = any(re.match(r'(patch_embeds|pos_block)\.', key) for key in state)
    if published:
        return "it has the published implementation's names; convert it with tools/convert_checkpoint.py first."
    backbone = getattr(model, 'backbone', None)
    found = guess_arch(state)
    if found and isinstance(backbone, SepViT):
        asked = config.model.backbone.get('arch', 'tiny')
        if found != asked:
            return f'this looks like SepViT {found}, the config says {asked}.'
    tops = {key.split('.')[0] for key in state}
    if not any(key.startswith('backbone.') for key in state):
        return f'its parameters are {", ".join(sorted(tops)[:4])}.*, with none of a backbone.'
    lacking = sorted({key.split('.')[0] for key in model.state_dict()} - tops)
    if lacking:
        return f"it has {', '.join(sorted(tops))} but no {', '.join(lacking)}; another task's?"
    return 'the sizes of its parts differ; use the config that it was trained with.'


def guess_arch(state: Mapping[str, Any], prefix: str = 'backbone.') -> str | None:
    """Name of the SepViT size whose depths and channels a state dict has.

    Args:
        state: The state dict.
        prefix: What stands before the backbone's names. Defaults to ``'backbone.'``.

    Returns:
        A key of ``SepViT.arch_zoo``, or None where none fits.
    """
    channels: dict[int, int] = {}
    depths: dict[int, int] = {}
    for key, value in state.items():
        match = re.match(re.escape(prefix) + r'stages\.(\d+)\.(?:blocks\.(\d+)\.|patch_embed\.proj\.)', key)
        if not match:
            continue
        stage = int(match[1])
        if match[2] is None:
            channels[stage] = int(value.shape[0])
        else:
            depths[stage] = max(depths.get(stage, 0), int(match[2]) + 1)
    for name, arch in SepViT.arch_zoo.items():
        stages = range(len(arch['depths']))
        if [depths.get(i) for i in stages] == list(arch['depths']) and [channels.get(i) for i in stages] == list(
            arch['channels']
        ):
            return name
    return None


def latest_checkpoint(work_dir: str) -> tuple[str | None, list[str]]:
    """The newest checkpoint of a work directory that can be read.

    mmengine removes old checkpoints before it saves a new one and notes the new one afterwards, so
    after a kill in between its note may name a file that is not there, or is half written.

    Args:
        work_dir: The directory.

    Returns:
        Its path, None where there never was one; and notes for the log.

    Raises:
        UserError: There are checkpoints, and none can be read.
    """
    folder = Path(work_dir)
    if not folder.is_dir():
        return None, [f'nothing to resume in {work_dir}: starting from the beginning']
    noted = find_latest_checkpoint(work_dir) if (folder / 'last_checkpoint').is_file() else None
    numbered = sorted(
        (file for file in folder.glob('*_*.pth') if re.fullmatch(r'(iter|epoch)_\d+', file.stem)),
        key=lambda file: int(file.stem.split('_')[1]),
        reverse=True,
    )
    # A work directory may have been moved since its note was written.
    candidates = [str(folder / Path(noted).name)] if noted else []
    candidates += [str(file) for file in numbered if str(file) not in candidates]
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
