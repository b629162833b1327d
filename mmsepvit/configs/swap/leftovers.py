"""What else in a config belonged to the old backbone: links to its weights, layer-wise decay made for its layers."""

from __future__ import annotations

from typing import Any

from mmengine.model import PretrainedInit
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, WEIGHT_INITIALIZERS

from ...config_tree import as_list, builds
from .classes import is_a, type_name

# Constructors of the packages that know the layers of a few backbones by name. mmpretrain's own asks the model, so it
# works for any backbone, but in a classifier alone.
_LAYER_DECAY = (
    'mmdet.LearningRateDecayOptimizerConstructor',
    'mmseg.LearningRateDecayOptimizerConstructor',
    'mmseg.LayerDecayOptimizerConstructor',
    'mmpose.LayerDecayOptimWrapperConstructor',
)
# Names that they give the factor a layer; what else they read describes the old backbone's layers.
_RATE_KEYS = ('decay_rate', 'layer_decay_rate')
_OLD_LAYERS = ('decay_type', 'num_layers')


def drop_links(config: dict, owner: dict) -> list[str]:
    """Takes out the links to weights of the old model: of the owner of a swapped backbone, and ``load_from``.

    Returns:
        Notes on what was taken out.
    """
    notes = []
    for node in (owner, config['model']):
        if node.get('pretrained') is not None:
            node['pretrained'] = None
        if any(builds(init, PretrainedInit, None, WEIGHT_INITIALIZERS) for init in as_list(node.get('init_cfg'))):
            node.pop('init_cfg')
            notes.append('init_cfg of the model is gone: it named weights of the old backbone')
    if config.get('load_from'):
        notes.append(f"load_from='{config['load_from']}' is gone: these weights are the old model's")
        config['load_from'] = None
    return notes


def has_layer_decay(wrapper: Any) -> bool:
    """Whether an ``optim_wrapper`` has a constructor of a package that decays the rate by known backbones' layers."""
    constructor = {'type': wrapper.get('constructor')} if isinstance(wrapper, dict) else None
    return is_a(constructor, *_LAYER_DECAY, registry=OPTIM_WRAPPER_CONSTRUCTORS)


def keep_layer_decay(config: dict) -> list[str]:
    """Hands layer-wise decay over to this project's constructor, which asks the backbone for its layers, in place.

    Returns:
        Notes for the reader.
    """
    wrapper = config.get('optim_wrapper')
    if wrapper is None or not has_layer_decay(wrapper):
        return []
    name = type_name({'type': wrapper['constructor']})
    paramwise = wrapper.setdefault('paramwise_cfg', {})
    rate = next((paramwise.pop(key) for key in _RATE_KEYS if key in paramwise), 1.0)
    for key in _OLD_LAYERS:
        paramwise.pop(key, None)
    wrapper['constructor'] = 'mmsepvit.LayerDecayOptimWrapperConstructor'
    paramwise['layer_decay_rate'] = rate
    return [
        f'layer-wise decay of {rate} a layer is kept by mmsepvit.LayerDecayOptimWrapperConstructor: {name} knows the '
        'layers of a few backbones only'
    ]
