"""What else in a config belonged to the old backbone: links to its weights, optimizer constructors made for it."""

from __future__ import annotations

from typing import Any

_LAYER_DECAY = {
    'LearningRateDecayOptimizerConstructor',
    'LayerDecayOptimizerConstructor',
}
_LAYER_DECAY_KEYS = ('decay_rate', 'decay_type', 'num_layers')


def _is_pretrained(init_cfg: Any) -> bool:
    nodes = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return any(isinstance(n, dict) and n.get('type') in ('Pretrained', 'PretrainedInit') for n in nodes)


def drop_links(config: dict, owner: dict) -> list[str]:
    """Takes out the links to weights of the old model: of the owner of a swapped backbone, and ``load_from``.

    Returns:
        Notes on what was taken out.
    """
    notes = []
    model = config['model']
    for node, where in ((owner, 'the model'), (model, 'the model')):
        if node.get('pretrained') is not None:
            node['pretrained'] = None
        if _is_pretrained(node.get('init_cfg')):
            node.pop('init_cfg')
            notes.append(f'init_cfg of {where} is gone: it named weights of the old backbone')
    if config.get('load_from'):
        notes.append(f"load_from='{config['load_from']}' is gone: these weights are the old model's")
        config['load_from'] = None
    return notes


def fit_optimizer(config: dict) -> list[str]:
    """Takes out mmdet's and mmseg's layer-wise decay, which they refuse for backbones that they do not know.

    Returns:
        Notes on what was taken out.
    """
    wrapper = config.get('optim_wrapper')
    if not isinstance(wrapper, dict) or config.get('default_scope') == 'mmpretrain':
        return []
    constructor = wrapper.get('constructor')
    if not isinstance(constructor, str) or constructor.rpartition('.')[2] not in _LAYER_DECAY:
        return []
    del wrapper['constructor']
    paramwise = wrapper.get('paramwise_cfg') or {}
    for key in _LAYER_DECAY_KEYS:
        paramwise.pop(key, None)
    if not paramwise:
        wrapper.pop('paramwise_cfg', None)
    return [f'{constructor} is gone: it knows the layers of a few backbones only, SepViT is not one of them']
