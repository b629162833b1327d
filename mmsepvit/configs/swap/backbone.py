"""The SepViT that takes an old backbone's place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...models import SepViT
from .errors import SwapError
from .probe import build_module, model_class

# The paper's stochastic depth; Lite's is not known.
_DROP_PATH = {'tiny': 0.2, 'small': 0.3, 'base': 0.5}


def stage_channels(arch: str | dict) -> tuple[int, ...]:
    """Channels of the stages of an architecture.

    Raises:
        SwapError: There is no such architecture.
    """
    if isinstance(arch, dict):
        return tuple(arch.get('channels') or ())
    if arch not in SepViT.arch_zoo:
        raise SwapError(f"arch='{arch}' is none of {', '.join(n for n in SepViT.arch_zoo if len(n) > 1)}")
    return tuple(SepViT.arch_zoo[arch]['channels'])


def arch_of(name: str) -> str:
    """Architecture that a command line's name means: 'sepvit-tiny', 'sepvit_t' and 'tiny' are the same.

    Raises:
        SwapError: There is no such architecture.
    """
    arch = re.sub(r'^sepvit[-_]', '', name.lower())
    stage_channels(arch)
    return arch


def frozen_stages(old: dict, scope: str | None) -> int:
    """How many of SepViT's stages the old backbone's ``frozen_stages`` means: SepViT counts the first n.

    The packages count differently (mmpretrain's Swin counts from stage 0, a plain transformer counts layers), so the
    old backbone is built, without memory, and asked what it froze.
    """
    value = old.get('frozen_stages', -1)
    if not isinstance(value, int) or value < 0:
        return -1
    try:
        module = build_module(old, scope)
    except Exception:  # whatever has no meta form has a real one
        module = build_module(old, scope, 'cpu')
    module.train()
    parameters = list(module.parameters())
    if not any(p.requires_grad for p in parameters):
        return 4
    layers = next((len(getattr(module, name)) for name in ('layers', 'blocks') if hasattr(module, name)), 0)
    if layers > 4:  # a plain transformer: the same share of the depth
        return max(min(round(4 * value / layers), 4), 0)
    cls = model_class(old, scope)
    counts_from_0 = cls is not None and cls.__module__.startswith('mmpretrain') and hasattr(module, 'stages')
    return min(value + 1 if counts_from_0 else value, 4)


def sepvit_config(
    old: dict,
    scope: str | None,
    arch: str | dict,
    stages: Sequence[int],
    classification_size: int | tuple[int, int] | None,
    arguments: dict[str, Any],
    image_channels: int = 3,
) -> tuple[dict, list[str]]:
    """Writes the config of the new backbone.

    Args:
        old: Config of the old one, whose frozen stages and checkpointing are kept.
        scope: Package whose classes it names.
        arch: SepViT's architecture.
        stages: Stages to put out.
        classification_size: Training size for the paper's classification form; None for its dense form.
        arguments: What the caller wants otherwise.
        image_channels: Channels of the images. Defaults to 3.

    Returns:
        The config and notes.
    """
    notes = []
    config: dict[str, Any] = {'type': 'mmsepvit.SepViT', 'arch': arch}
    if classification_size is not None:
        config.update(input_size=classification_size, window_token='learnable', single_window_psa=False)
    else:
        config.update(window_token='zero')
    config['out_indices'] = tuple(stages)
    name = {n[0]: n for n in _DROP_PATH}.get(arch, arch) if isinstance(arch, str) else None
    if name in _DROP_PATH:
        config['drop_path_rate'] = _DROP_PATH[name]
    if image_channels != 3:
        config['in_channels'] = image_channels
    if old.get('with_cp'):
        config['with_cp'] = True
    frozen = frozen_stages(old, scope) if 'frozen_stages' not in arguments else -1
    if frozen >= 0:
        config['frozen_stages'] = frozen
        if 'init_cfg' not in arguments:
            notes.append(
                f'frozen_stages={frozen} is kept, but freezes weights that are random until a checkpoint is given: '
                'pass init_cfg, or frozen_stages=-1'
            )
    config.update(arguments)
    return config, notes
