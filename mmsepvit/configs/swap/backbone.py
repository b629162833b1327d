"""The backbone that takes an old one's place: SepViT, or any other of maps of several scales."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmengine.registry import MODELS

from ...config_tree import built_class
from ...models import SepViT
from .classes import takes, type_name
from .errors import SwapError, SwapRefused
from .probe import build_module, learn_outputs

_ARCHS = ('lite', 'tiny', 'small', 'base')
_STRIDES = (4, 8, 16, 32)


class NewBackbone(Protocol):
    """A backbone to put in.

    Attributes:
        name: What messages call it.
        channels: Channels of all its stages.
        strides: Their strides.
    """

    name: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def write(self, old: dict, stages: Sequence[int], crop: int | tuple[int, int] | None, bands: int) -> dict:
        """Writes its config in place of an old one.

        Args:
            old: The old backbone's config.
            stages: Stages to put out.
            crop: Size of a classifier's training crops; None in dense tasks.
            bands: Channels of the images.
        """


@dataclass
class NewSepViT:
    """SepViT, in the paper's classification form where there is a crop size, else in its dense form.

    Attributes:
        arch: Its architecture, by name or as a dict of the zoo's form.
        arguments: Further arguments of the caller's.
        init_cfg: Weights to start from. Defaults to none.

    Raises:
        SwapError: There is no such architecture.
    """

    arch: str | dict
    arguments: dict[str, Any] = field(default_factory=dict)
    init_cfg: dict | None = None

    def __post_init__(self) -> None:
        self.channels = stage_channels(self.arch)
        self.strides = _STRIDES[: len(self.channels)]
        self.name = f'SepViT-{self.arch}' if isinstance(self.arch, str) else 'SepViT'

    def write(self, old: dict, stages: Sequence[int], crop: int | tuple[int, int] | None, bands: int) -> dict:
        """See :class:`NewBackbone`. Frozen stages, checkpointing and stochastic depth of the old one stay."""
        config: dict[str, Any] = {'type': 'mmsepvit.SepViT', 'arch': self.arch}
        if crop is None:
            config.update(window_token='zero')
        else:
            config.update(input_size=crop, window_token='learnable', single_window_psa=False)
        config['out_indices'] = tuple(stages)
        if bands != 3:
            config['in_channels'] = bands
        config.update({key: old[key] for key in ('with_cp', 'drop_path_rate') if old.get(key)})
        if self.init_cfg is not None:
            config['init_cfg'] = dict(self.init_cfg)
        frozen = frozen_stages(old) if 'frozen_stages' not in self.arguments else -1
        if frozen >= 0:
            config['frozen_stages'] = frozen
        config.update(self.arguments)
        return config


class OtherBackbone:
    """Any registered backbone that puts out maps of several scales, as a comparison to SepViT wants it.

    Args:
        config: Its config, without ``out_indices``.

    Raises:
        SwapError: It cannot be built, or does not put out maps of several scales.
    """

    def __init__(self, config: dict) -> None:
        self.config = copy.deepcopy(config)
        self.name = type_name(config)
        if built_class(config, None, MODELS) is None:
            raise SwapError(
                f"backbone '{config.get('type')}' is in no registry; is its package's name before it right?"
            )
        if takes(config, 'gap_before_final_norm'):  # mmpretrain's ConvNeXt pools its maps unless told otherwise
            self.config.setdefault('gap_before_final_norm', False)
        outputs = learn_outputs([{**self.config, 'out_indices': (0, 1, 2, 3)}])[0]
        if isinstance(outputs, Exception) or any(f.ndim != 4 for f in outputs):
            raise SwapError(f"backbone '{self.name}' does not put out maps of its stages 0 to 3: {outputs}")
        self.channels = tuple(f.channels for f in outputs)
        self.strides = tuple(f.stride for f in outputs)
        if len(set(self.strides)) < len(self.strides):
            raise SwapRefused(f"backbone '{self.name}' has maps of strides {list(self.strides)}, not one of each")

    def write(self, old: dict, stages: Sequence[int], crop: int | tuple[int, int] | None, bands: int) -> dict:
        """See :class:`NewBackbone`. Stochastic depth of the old one stays."""
        config = {**copy.deepcopy(self.config), 'out_indices': tuple(stages)}
        if old.get('drop_path_rate') and takes(config, 'drop_path_rate'):
            config.setdefault('drop_path_rate', old['drop_path_rate'])
        if bands != 3:
            config['in_channels'] = bands
        return config


def stage_channels(arch: str | dict) -> tuple[int, ...]:
    """Channels of the stages of a SepViT.

    Raises:
        SwapError: There is no such architecture.
    """
    if isinstance(arch, dict):
        return tuple(arch.get('channels') or ())
    if arch not in _ARCHS:
        raise SwapError(f"arch='{arch}' is none of {', '.join(_ARCHS)}")
    return tuple(SepViT.arch_zoo[arch]['channels'])


def arch_of(name: str) -> str:
    """Architecture that a command line's name means: 'sepvit-tiny', 'sepvit_t' and 'tiny' are the same.

    Raises:
        SwapError: There is no such architecture.
    """
    arch = re.sub(r'^sepvit[-_]', '', name.lower())
    arch = {'t': 'tiny', 's': 'small', 'b': 'base'}.get(arch, arch)
    stage_channels(arch)
    return arch


def frozen_stages(old: dict) -> int:
    """How many of SepViT's stages the old backbone's ``frozen_stages`` means: SepViT counts the first n.

    The packages count differently (mmpretrain's Swin counts from stage 0, a plain transformer counts layers), so the
    old backbone is built, without memory, and asked what it froze.
    """
    value = old.get('frozen_stages', -1)
    if not isinstance(value, int) or value < 0:
        return -1
    try:
        module = build_module(old)
    except Exception:  # whatever has no meta form has a real one
        module = build_module(old, 'cpu')
    module.train()
    if not any(p.requires_grad for p in module.parameters()):
        return 4
    layers = next((len(getattr(module, name)) for name in ('layers', 'blocks') if hasattr(module, name)), 0)
    if layers > 4:  # a plain transformer: the same share of the depth
        return max(min(round(4 * value / layers), 4), 0)
    counts_from_0 = type(module).__module__.startswith('mmpretrain') and hasattr(module, 'stages')
    return min(value + 1 if counts_from_0 else value, 4)
