"""Mixed precision: ``--amp``, and configs that ask for it, on GPU and CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import nn

from ..config_tree import built_class
from ..errors import UserError
from ..registry import HOOKS, OPTIM_WRAPPERS

DTYPES = ('fp16', 'bf16')


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Trains under CPU autocast in bfloat16, which mmengine's ``AmpOptimWrapper`` refuses.

    bfloat16 has float32's range, so the loss needs no scaling.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


@HOOKS.register_module()
class Float32BoxesHook(Hook):
    """Keeps boxes and their scores in float32 where a detector trains in bfloat16.

    mmcv's RoIAlign and NMS have no bfloat16 kernel for the CPU, RoIAlign none for GPUs either. And
    mmdet rounds boxes to the features' dtype: in bfloat16 a coordinate of 1000 is off by up to 2.
    """

    def before_run(self, runner: Runner) -> None:
        if 'mmdet' not in sys.modules:  # then the model holds nothing of it
            return
        from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
        from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor

        for module in runner.model.modules():
            if isinstance(module, BaseRoIExtractor):
                module.register_forward_pre_hook(lambda _, arguments: _float32(arguments))
            if isinstance(module, BaseDenseHead):
                module.register_forward_hook(lambda _, arguments, outputs: _float32(outputs))


def _float32(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_float32(item) for item in value)
    if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
        return value.float()
    return value


def set_precision(config: Config, amp: str | None) -> list[str]:
    """Chooses the optimizer wrapper for the asked precision and this machine.

    Args:
        config: The config, changed in place.
        amp: 'fp16' or 'bf16' where ``--amp`` was given, else None: as the config has it.

    Returns:
        Notes for the log.

    Raises:
        UserError: fp16 was asked for without a GPU, or the config's wrapper knows no precision.
    """
    wrapper = config.optim_wrapper
    kind = built_class(wrapper, config.get('default_scope'), MMENGINE_OPTIM_WRAPPERS) or OptimWrapper
    on_cpu = get_device() == 'cpu'
    if amp is None:
        if kind is AmpOptimWrapper and on_cpu:
            _full_precision(wrapper)
            return ['no GPU here, so the mixed precision that the config asks for is left out']
        if kind is AmpOptimWrapper and str(wrapper.get('dtype')).endswith('bfloat16'):
            _add_hook(config)
        return []
    if kind not in (OptimWrapper, AmpOptimWrapper):  # nor one of its own that inherits: its steps would be lost
        name = getattr(kind, '__name__', wrapper.get('type'))
        raise UserError(f'--amp needs optim_wrapper.type=OptimWrapper, the config has {name}.')
    if amp == 'fp16':
        if on_cpu:
            raise UserError('--amp needs a GPU, and none is visible here; leave it out or use --amp bf16.')
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
        wrapper.dtype = 'float16'
        return []
    _add_hook(config)
    if on_cpu:
        _full_precision(wrapper)
        wrapper.type = 'mmsepvit.CpuAmpOptimWrapper'
        return ['training under CPU autocast in bfloat16']
    wrapper.type = 'AmpOptimWrapper'
    wrapper.dtype = 'bfloat16'
    wrapper.loss_scale = {'enabled': False}  # float32's range needs no scaling
    return []


def _full_precision(wrapper: dict) -> None:
    wrapper['type'] = 'OptimWrapper'
    for key in ('loss_scale', 'dtype', 'use_fsdp'):
        wrapper.pop(key, None)


def _add_hook(config: Config) -> None:
    config.custom_hooks = [*(config.get('custom_hooks') or []), {'type': 'mmsepvit.Float32BoxesHook'}]
