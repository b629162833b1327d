"""Whether SepViT reads as many bands as images have, and what reads SepViT's maps is made for their widths.

Each is written down twice in a config. Where the two differ, the training would end at its first image, with a message
of a convolution that names neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from ..config_tree import as_list, builds
from ..errors import UserError
from ..models import SepViT


def check_widths(config: Config) -> None:
    """Compares a SepViT with the images' statistics, and with the neck or the heads behind it.

    Args:
        config: The config, whose packages are imported.

    Raises:
        UserError: They do not fit.
    """
    backbone, scope = config.model.get('backbone'), config.default_scope
    if not builds(backbone, SepViT, scope, MODELS):
        return
    for where, settings in (('', config), ('model.', config.model)):
        mean = (settings.get('data_preprocessor') or {}).get('mean')
        bands = backbone.get('in_channels', 3)
        if isinstance(mean, (list, tuple)) and len(mean) > 1 and len(mean) != bands:
            raise UserError(
                f'{where}data_preprocessor.mean has {len(mean)} values, but model.backbone reads images of {bands} '
                'bands (in_channels).\nSet in_channels, mean and std for the bands that the images have.'
            )
    arguments = {key: value for key, value in backbone.items() if key not in ('type', 'init_cfg')}
    try:
        with torch.device('meta'):
            widths = SepViT(**arguments).out_channels
    except (TypeError, ValueError):  # said when it is built
        return
    for where, given, wanted in _read(config.model, widths, scope):
        if given is not None and given != wanted:
            raise UserError(
                f'{where}.in_channels={given}, but the maps of model.backbone that it reads have {wanted} channels.\n'
                'Set it to these; --backbone sepvit-ARCH puts another SepViT into a config and sets all that reads it.'
            )


def _read(model: Any, widths: Sequence[int], scope: str) -> Iterator[tuple[str, Any, Any]]:
    """What reads the maps: its place, the widths that it is made for, and those that it gets."""
    necks = as_list(model.get('neck'))
    if scope == 'mmpretrain':
        from mmpretrain.models import GlobalAveragePooling, LinearClsHead

        head = model.get('head')
        if all(builds(neck, GlobalAveragePooling, scope, MODELS) for neck in necks) and builds(
            head, LinearClsHead, scope, MODELS
        ):
            yield 'model.head', head.get('in_channels'), widths[-1]
    elif necks:
        given = necks[0].get('in_channels') if isinstance(necks[0], dict) else None
        if isinstance(given, (list, tuple)) and len(given) == len(widths):
            yield 'model.neck', list(given), list(widths)
    elif scope == 'mmseg':
        from mmseg.models.decode_heads.decode_head import BaseDecodeHead

        for name in ('decode_head', 'auxiliary_head'):
            for head in as_list(model.get(name)):
                given, index = head.get('in_channels'), head.get('in_index', -1)
                both_lists = isinstance(given, (list, tuple)) and isinstance(index, (list, tuple))
                levels = index if both_lists else [index]
                known = all(isinstance(i, int) and i in range(-len(widths), len(widths)) for i in levels)
                if known and builds(head, BaseDecodeHead, scope, MODELS):
                    wanted = [widths[i] for i in levels]
                    yield f'model.{name}', list(given) if both_lists else given, wanted if both_lists else wanted[0]
