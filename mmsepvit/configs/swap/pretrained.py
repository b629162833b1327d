"""Where a swapped backbone's weights come from: ``--pretrained`` and its prefix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...checkpoints.read import read_checkpoint
from ...errors import UserError

_FIRST_PARAMETER = 'stages.0.patch_embed.proj.weight'  # every SepViT has it


def pretrained_init(source: str) -> dict:
    """The ``init_cfg`` that starts a SepViT from weights.

    Args:
        source: A checkpoint's file or URL, or the name of weights that the package carries.

    Raises:
        UserError: The checkpoint cannot be read, or there is no SepViT in it.
    """
    if '://' not in source and not Path(source).suffix and not Path(source).exists():
        source = f'mmsepvit://{source}'
    names = list(read_checkpoint(source)['state_dict'])
    prefixes = sorted({name[: -len(_FIRST_PARAMETER)] for name in names if name.endswith(_FIRST_PARAMETER)}, key=len)
    if not prefixes:
        raise UserError(f"pretrained='{source}': there is no SepViT in it; its parameters are {_some(names)}.")
    prefix = 'backbone.' if 'backbone.' in prefixes else prefixes[0]  # the model's own before a teacher's or an average
    init = {'type': 'Pretrained', 'checkpoint': source}
    return {**init, 'prefix': prefix} if prefix else init


def _some(names: Iterable[str]) -> str:
    return ', '.join(f'{top}.*' for top in list(dict.fromkeys(name.split('.')[0] for name in names))[:4])
