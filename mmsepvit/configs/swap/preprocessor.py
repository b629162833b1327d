"""Image statistics and channel order, the number of bands, and the size of the training crops."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS, TRANSFORMS

from ...config_tree import builds, named_nodes, nodes
from .classes import is_a, lineage, package_of, takes

MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]
"""Of ImageNet's images, in RGB and in 8 bits."""

# Name of a transform that cuts or brings training images to a size -> its arguments that may give it.
_CROPS = {
    'RandomResizedCrop': ('scale', 'size'),
    'RandomCrop': ('crop_size',),
    'CenterCrop': ('crop_size',),
    'EfficientNetRandomCrop': ('scale', 'crop_size'),
    'EfficientNetCenterCrop': ('crop_size',),
    'RandomResizedCropAndInterpolationWithTwoPic': ('size',),
    'Resize': ('scale',),
}


def image_channels(config: dict, backbone: dict) -> int:
    """Number of an image's bands: what the old backbone says, or as many as the statistics have means; else 3."""
    for key in ('in_channels', 'in_chans'):
        if isinstance(backbone.get(key), int):
            return backbone[key]
    found = [*(node for _, node in _preprocessors(config['model'])), config.get('data_preprocessor') or {}]
    return next((len(n['mean']) for n in found if isinstance(n.get('mean'), (list, tuple)) and len(n['mean']) > 1), 3)


def set_preprocessor(config: dict, owners: dict[str, int]) -> list[str]:
    """Gives the images of swapped models ImageNet's RGB statistics where they have others, in place.

    Only images of three 8-bit bands get them. Statistics of any other number of bands or range of values are those of
    the data, whatever the backbone, and stay.

    Args:
        config: The config.
        owners: Dotted path of each model that got the new backbone, and the number of its images' bands.

    Returns:
        Notes for the reader.
    """
    model = config['model']
    before = copy.deepcopy(list(_preprocessors(model)))
    found = [
        (node, bands)
        for path, node in _preprocessors(model)
        for owner, bands in list(owners.items())
        if _feeds(path.rpartition('.')[0], owner)
    ]
    top = config.get('data_preprocessor')  # what the Runner gives a model without one of its own
    is_classifier = package_of(model) == 'mmpretrain'
    if not found and top is None and is_classifier:
        top = config['data_preprocessor'] = {}  # mmpretrain's own has no statistics
    if isinstance(top, dict) and _has_statistics('data_preprocessor', top):
        found.append((top, max(owners.values())))
    loaders = _loaders(config)
    is_rgb = any(node.get('channel_order') == 'rgb' or node.get('to_rgb') for node in loaders)
    notes = []
    for node, bands in found:
        if _is_8_bit_rgb(node, bands, loaders):
            _set_statistics(node, 'to_rgb' if 'type' not in node or takes(node, 'to_rgb') else 'bgr_to_rgb', is_rgb)
        else:
            what = f'{bands} bands' if bands != 3 else 'a range other than that of 8 bits'
            notes.append(
                f'mean, std and channel order of the images stay, as they have {what}; weights that were trained on '
                f'8-bit RGB images with mean={MEAN} and std={STD} expect others'
            )
    teachers = [key for key in model if key.startswith('teacher')]
    if teachers and before != list(_preprocessors(model)):
        notes.append(f'{teachers[0]} reads the same images, whose statistics or channel order are new to it')
    return notes


def _has_statistics(path: str, node: dict) -> bool:
    """Whether a dict builds a data preprocessor that normalises images, and does not only hold such a one."""
    if 'type' not in node:  # mmpretrain's models know theirs by the key
        return path.rpartition('.')[2] == 'data_preprocessor'
    return builds(node, BaseDataPreprocessor, None, MODELS) and takes(node, 'mean')


def _preprocessors(model: Any) -> Iterator[tuple[str, dict]]:
    """The preprocessors of a model's config that normalise images, with their dotted paths from the config's top."""
    return ((path, node) for path, node in named_nodes(model, 'model') if _has_statistics(path, node))


def _feeds(holder: str, model: str) -> bool:
    """Whether a preprocessor of the model at one dotted path feeds that at another: one is a part of the other."""
    return f'{model}.'.startswith(f'{holder}.') or f'{holder}.'.startswith(f'{model}.')


def _loaders(config: dict) -> list[dict]:
    """The steps of the training pipelines that load images."""
    steps = nodes((config.get('train_dataloader') or {}).get('dataset'))
    return [step for step in steps if is_a(step, 'mmcv.LoadImageFromFile', registry=TRANSFORMS)]


def _is_8_bit_rgb(preprocessor: dict, bands: int, loaders: list[dict]) -> bool:
    """Whether images have three bands of 8 bits, as far as their loading and their statistics tell.

    Args:
        preprocessor: The data preprocessor.
        bands: Number of the images' bands.
        loaders: What loads them. None is known of a config without training data.
    """
    if bands != 3:
        return False
    for loader in loaders:  # decoded as colours, any file becomes 8-bit; otherwise it is what the file holds
        if not loader.get('color_type', 'color').startswith('color') or loader.get('imdecode_backend') == 'tifffile':
            return False
    mean, std = ([float(v) for v in preprocessor.get(key) or ()] for key in ('mean', 'std'))
    if len(mean) not in (0, 1, 3) or len(std) not in (0, 1, 3):
        return False
    raw = not any(mean) and all(v == 1 for v in std)  # not normalised at all
    unit = all(0 <= v <= 1 for v in (*mean, *std))
    return raw or (not unit and all(0 <= v <= 255 for v in (*mean, *std)))


def _set_statistics(preprocessor: dict, order_key: str, is_rgb: bool) -> None:
    for key, values in (('mean', MEAN), ('std', STD)):
        if list(preprocessor.get(key) or ()) != values:
            preprocessor[key] = list(values)
    if bool(preprocessor.get(order_key, False)) == is_rgb:
        preprocessor[order_key] = not is_rgb
    if preprocessor.get('rgb_to_bgr'):
        preprocessor['rgb_to_bgr'] = False


def training_size(config: dict, default: int | tuple[int, int] = 224) -> int | tuple[int, int]:
    """Height and width of the training crops; one number where they are square.

    Args:
        config: The whole config.
        default: What a config without a crop counts as. Defaults to 224.
    """
    found: list[tuple[int, int]] = []
    views = 0
    for node in nodes((config.get('train_dataloader') or {}).get('dataset')):
        names = {name.rpartition('.')[2] for name in lineage(node, TRANSFORMS)}
        views += 'MultiView' in names
        for key in (key for name in names for key in _CROPS.get(name, ())):
            value = node.get(key)
            value = (value, value) if isinstance(value, int) else value
            if (
                isinstance(value, (list, tuple))
                and len(value) == 2
                and all(isinstance(v, int) and v > 0 for v in value)
            ):
                # a Resize's scale is width, height
                found.append((value[1], value[0]) if key == 'scale' else (value[0], value[1]))
    if not found:
        return default
    height, width = max(found) if views else found[-1]
    return height if height == width else (height, width)
