"""Comparing a checkpoint with the model of a config, and saying in words why it does not fit."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS, WEIGHT_INITIALIZERS, DefaultScope
from torch import nn

from ..config_tree import as_list, builds, model_settings, named_nodes
from ..errors import UserError
from ..models import SepViT
from ..models.pretrained import (
    FIRST,
    OTHER_INPUT_SIZE,
    check_transfer,
    is_of_other_input_size,
    psa_without_place,
)
from .read import read_checkpoint


def check_fits(path: str, checkpoint: dict[str, Any], config: Config, partial: bool = False) -> list[str]:
    """Compares a checkpoint's keys and shapes with the model of a config.

    Args:
        path: Name of the checkpoint for the message.
        checkpoint: What `read_checkpoint` returned.
        config: The config.
        partial: Whether some parameters may be missing or of another shape (fine-tuning). Of a SepViT only the layer
            that reads the image may have another one.

    Returns:
        Notes for the log: what of a SepViT trained at another input size is resized or left out.

    Raises:
        UserError: It is of another model.
    """
    state = _parameters(checkpoint)
    model = _empty_model(config)
    # Counters of batches seen are not in every checkpoint, and change nothing.
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items() if 'num_batches_tracked' not in key}
    missing = [key for key in wanted if key not in state]
    other_shape = [
        key
        for key in wanted
        if key in state
        and tuple(state[key].shape) != wanted[key]
        and not key.endswith('window_token')  # resized to the trained input size when loaded
    ]
    without_place = psa_without_place(wanted, state)
    if partial and len(missing) + len(other_shape) < len(wanted) and not _of_other_arch(model, other_shape):
        left_out = f"checkpoint '{path}': {len(without_place)} weights of PSA are left out: {OTHER_INPUT_SIZE}"
        return [*([left_out] if without_place else []), *_resized(path, state, wanted)]
    if not missing and not other_shape and not without_place:
        return _resized(path, state, wanted)
    raise UserError(
        f"checkpoint '{path}' is not one of this config's model: {_reason(state, model, config)}\n"
        f'{_first_difference(missing, other_shape, without_place, state, wanted)}'
    )


def _resized(path: str, state: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """A note on window tokens that are resized when they are loaded; none where all have their size."""
    tokens = [
        key
        for key in wanted
        if key.endswith('window_token') and key in state and tuple(state[key].shape) != wanted[key]
    ]
    if not tokens:
        return []
    before, after = (f'{shape[0]}x{shape[1]}' for shape in (state[tokens[0]].shape, wanted[tokens[0]]))
    example = f'such as {tokens[0]} from {before} to {after}'
    return [
        f"checkpoint '{path}' is of another input_size: {len(tokens)} grids of window tokens are resized, {example}"
    ]


def check_pretrained(config: Config) -> list[str]:
    """Checks the weights that any SepViT of a config starts from (``init_cfg``), before anything is built.

    Args:
        config: The config.

    Returns:
        Notes for the log: window tokens that are resized.

    Raises:
        UserError: A file cannot be read, or its weights are not this SepViT's.
    """
    scope = config.get('default_scope')
    inits = [
        (path, node, init)
        for path, node in named_nodes(config.model, 'model')
        if builds(node, SepViT, scope, MODELS)
        for init in as_list(node.get('init_cfg'))
    ]
    notes = []
    for path, node, init in inits:
        if not isinstance(init, Mapping) or 'type' not in init:
            raise UserError(f"{path}.init_cfg: {init!r} must be a group of settings with a type, such as 'Pretrained'.")
        if not builds(init, PretrainedInit, scope, WEIGHT_INITIALIZERS):
            continue
        file, prefix = init.get('checkpoint'), init.get('prefix') or ''
        if not file:
            raise UserError(f'{path}.init_cfg of type Pretrained names no checkpoint.')
        state = _parameters(read_checkpoint(file))
        prefix = f'{prefix.rstrip(".")}.' if prefix else ''
        weights = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
            # By the registry, so that arguments it refuses are told in a line.
            backbone = MODELS.build({**node, 'init_cfg': None})
        try:
            check_transfer(backbone, weights or state)
        except ValueError as error:
            raise UserError(f"{path}.init_cfg: checkpoint '{file}': {error}") from None
        shapes = {key: tuple(value.shape) for key, value in backbone.state_dict().items()}
        notes += _resized(file, weights or state, shapes)
    return notes


def _of_other_arch(model: nn.Module, other_shape: list[str]) -> bool:
    """Whether parameters of a SepViT have another shape that do not depend on the images' channels."""
    if not isinstance(getattr(model, 'backbone', None), SepViT):
        return False
    return any(key.startswith('backbone.') and key != f'backbone.{FIRST}' for key in other_shape)


def _parameters(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state dict, without the prefix that data parallel training leaves."""
    return {re.sub(r'^module\.', '', key): value for key, value in checkpoint['state_dict'].items()}


def _empty_model(config: Config) -> nn.Module:
    """The model of a config for its names and shapes, without memory for its parameters where it can be built so."""
    wanted = model_settings(config)
    with DefaultScope.overwrite_default_scope(config.default_scope), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the run builds it again and has them; a message of ours shall stand alone
        try:
            with torch.device('meta'):
                return MODELS.build(copy.deepcopy(wanted))
        except Exception:  # of a constructor that reads numbers of its tensors, as older backbones' do
            return MODELS.build(wanted)


def _first_difference(missing: list, other_shape: list, without_place: list, state: dict, wanted: dict) -> str:
    if not missing and not other_shape:
        return f'{len(without_place)} of its parameters have no place in the model, e.g. {without_place[0]}.'
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
    if not any(key.startswith('backbone.') for key in state):
        tops = sorted({key.split('.')[0] for key in state})
        return f'its parameters are {", ".join(tops[:4])}.*, with none of a backbone.'
    given = {key.split('.')[0] for key in state}
    lacking = sorted({key.split('.')[0] for key in model.state_dict()} - given)
    if lacking:
        return f"it has {', '.join(sorted(given))} but no {', '.join(lacking)}; another task's?"
    if is_of_other_input_size(model.state_dict().keys() ^ state.keys()):
        return f'its weights do not fit, as {OTHER_INPUT_SIZE}'
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
