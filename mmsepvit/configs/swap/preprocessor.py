"""Image mean, standard deviation and channel order, and the size of the training crops."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ...config_tree import named_nodes, nodes
from .sites import type_name

MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]

_CROP_KEYS = {
    'RandomResizedCrop': ('scale', 'size'),
    'ResizeEdge': (),
    'RandomCrop': ('crop_size',),
    'CenterCrop': ('crop_size',),
    'EfficientNetRandomCrop': ('scale', 'crop_size'),
    'EfficientNetCenterCrop': ('crop_size',),
    'RandomResizedCropAndInterpolationWithTwoPic': ('size',),
    'Resize': ('scale',),
}
# These spell the channel order `to_rgb`; the packages' other preprocessors spell it `bgr_to_rgb` and `rgb_to_bgr`.
_TO_RGB = ('ClsDataPreprocessor', 'SelfSupDataPreprocessor', 'ReIDDataPreprocessor', 'VideoDataPreprocessor')


def _preprocessors(model: Any) -> Iterator[tuple[str, dict]]:
    """The data preprocessors of a model's config, with their dotted paths from the config's top."""
    return (
        (p, node) for p, node in named_nodes(model, 'model') if type_name(node).lower().endswith('datapreprocessor')
    )


def _loads_rgb(config: dict) -> bool:
    """Whether the training images are read as RGB already."""
    loader = config.get('train_dataloader') or {}
    return any(
        type_name(d).startswith('LoadImage') and (d.get('channel_order') == 'rgb' or d.get('to_rgb'))
        for d in nodes(loader)
    )


def _set_statistics(node: dict, to_rgb_style: bool, rgb: bool) -> None:
    pictures, rest = divmod(len(node['mean']) if isinstance(node.get('mean'), (list, tuple)) else 3, 3)
    if rest:  # grey images stay grey
        return
    for key, values in (('mean', MEAN), ('std', STD)):
        if list(node.get(key) or ()) != values * pictures:  # two pictures of one place, say, one upon the other
            node[key] = values * pictures
    if to_rgb_style:
        if bool(node.get('to_rgb', False)) == rgb:
            node['to_rgb'] = not rgb
    else:
        if bool(node.get('bgr_to_rgb', False)) == rgb:
            node['bgr_to_rgb'] = not rgb
        if node.get('rgb_to_bgr'):
            node['rgb_to_bgr'] = False


def _feeds(holder: str, model: str) -> bool:
    """Whether a preprocessor of the model at one dotted path feeds that at another: one is a part of the other."""
    return f'{model}.'.startswith(f'{holder}.') or f'{holder}.'.startswith(f'{model}.')


def set_preprocessor(config: dict, paths: list[str]) -> list[str]:
    """Gives the image preprocessors of swapped models ImageNet's RGB statistics, where they have others; in place.

    Args:
        config: The config.
        paths: Dotted paths of the models that SepViT was put into.

    Returns:
        Notes for the reader.
    """
    before = copy.deepcopy(list(_preprocessors(config['model'])))
    rgb = _loads_rgb(config)
    model = config['model']
    found = [
        node
        for path, node in _preprocessors(model)
        if not type_name(node).startswith('MultiBranch')
        and any(_feeds(path.rpartition('.')[0], model_path) for model_path in paths)
    ]
    top = config.get('data_preprocessor')  # what the Runner gives a model without one of its own
    if isinstance(top, dict) and not type_name(top).startswith('MultiBranch'):
        found.append(top)
    for node in found:
        default = 'ClsDataPreprocessor' if config.get('default_scope') == 'mmpretrain' else ''
        _set_statistics(node, (type_name(node) or default) in _TO_RGB, rgb)
    if not found and config.get('default_scope') == 'mmpretrain':
        config['data_preprocessor'] = {'mean': list(MEAN), 'std': list(STD), 'to_rgb': not rgb}
    teachers = [key for key in model if key.startswith('teacher')]
    if teachers and before != list(_preprocessors(model)):
        return [f'{teachers[0]} reads the same images, whose statistics or channel order are new to it']
    return []


def training_size(config: dict, default: int | tuple[int, int] = 224) -> int | tuple[int, int]:
    """Height and width of the training crops; one number where they are square.

    Args:
        config: The whole config.
        default: What a config without a crop counts as. Defaults to 224.
    """
    found: list[tuple[int, int]] = []
    for node in nodes((config.get('train_dataloader') or {}).get('dataset')):
        for key in _CROP_KEYS.get(type_name(node), ()):
            value = node.get(key)
            if isinstance(value, int) and value > 0:
                found.append((value, value))
            elif (
                isinstance(value, (list, tuple))
                and len(value) == 2
                and all(isinstance(v, int) and v > 0 for v in value)
            ):
                # a Resize's scale is width, height
                found.append((value[1], value[0]) if key == 'scale' else (value[0], value[1]))
    if not found:
        return default
    height, width = max(found) if _is_multi_view(config) else found[-1]
    return height if height == width else (height, width)


def _is_multi_view(config: dict) -> bool:
    return any(type_name(d) == 'MultiView' for d in nodes((config.get('train_dataloader') or {}).get('dataset')))


def image_channels(config: dict, backbone: dict) -> int:
    """Channels of the images: what the old backbone says, or as many as they have means."""
    if isinstance(backbone.get('in_channels'), int):
        return backbone['in_channels']
    found = [*(node for _, node in _preprocessors(config['model'])), config.get('data_preprocessor') or {}]
    return next((len(n['mean']) for n in found if isinstance(n.get('mean'), (list, tuple))), 3)
