"""Rates that fall from a model's head to its stem, layer by layer."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from ..errors import UserError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Multiplies the rate of a backbone's parameter by a factor for every layer between it and the head.

    It is mmengine's default constructor, with all of its options, and one more. The backbone is whatever part of the
    model has a ``get_layer_depth``, so it serves classifiers, segmentors and detectors alike. Layers are SepViT's
    blocks; a parameter of a head, a neck or an output norm keeps the whole rate.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper.
        paramwise_cfg: Options of the default constructor, and ``layer_decay_rate``, the factor: greater than 0 and at
            most 1.

    Raises:
        UserError: There is no such factor, or no part of the model has a ``get_layer_depth``.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise UserError(
                f'optim_wrapper.paramwise_cfg.layer_decay_rate is {rate!r}; it must be a factor such as 0.75, greater '
                'than 0 and at most 1.'
            )
        self._rate = rate

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **options: Any) -> None:
        super().add_params(params, module, prefix=prefix, **options)
        if prefix:  # the default constructor calls itself for every part
            return
        backbones = {
            f'{name}.': part for name, part in module.named_modules() if name and hasattr(part, 'get_layer_depth')
        }
        if not backbones:
            raise UserError(f'{type(module).__name__} has no backbone with layers to decay the rate by.')
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        for group in params:
            (parameter,) = group['params']
            name = names[id(parameter)]
            inside = next((start for start in backbones if name.startswith(start)), None)
            if inside is None:
                continue
            depth, layers = backbones[inside].get_layer_depth(name, inside)
            group['lr'] = group.get('lr', self.base_lr) * self._rate ** (layers - 1 - depth)
