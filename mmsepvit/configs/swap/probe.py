"""Learning what a backbone, and the necks behind it, put out: by building and running them without memory."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...config_tree import built_class
from .classes import quiet

_SIZE_KEYS = ('img_size', 'input_size', 'input_resolution')
_DEFAULT_SIZE = (512, 512)  # large enough for the last level of an SSD
# Backbones with a classifier of their own take one size only: VGG, LeNet.
_SMALL_SIZES = ((224, 224), (32, 32))


@dataclass(frozen=True)
class Feature:
    """One output of a backbone or neck.

    Attributes:
        channels: Its channels.
        stride: Its stride in pixels of the image, to the nearest power of 2; 0 for a vector.
        ndim: 4 for a map (B, C, H, W), 3 for tokens (B, L, C), 2 for a vector (B, C).
    """

    channels: int
    stride: int
    ndim: int = 4


class _WeightlessMode(TorchFunctionMode):
    """Puts new tensors on the meta device, except the tables that constructors read numbers from."""

    _WEIGHTS = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._WEIGHTS and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


def _without_pretrained(node: Any) -> Any:
    """A copy of a config without any link to pretrained weights."""
    if isinstance(node, dict):
        return {k: _without_pretrained(v) for k, v in node.items() if k not in ('init_cfg', 'pretrained')}
    if isinstance(node, (list, tuple)):
        return type(node)(_without_pretrained(v) for v in node)
    return copy.deepcopy(node)


def build_module(node: dict, device: str = 'meta') -> nn.Module:
    """Builds a backbone or neck of a config without pretrained weights.

    Args:
        node: The config.
        device: 'meta', where weights take no memory, or 'cpu'. Defaults to 'meta'.
    """
    with quiet():
        node = _without_pretrained(node)
        if device != 'meta':
            return MODELS.build(node)
        with _WeightlessMode():
            module = MODELS.build(node)
        return module.to('meta')


def learn_outputs(modules: Sequence[dict], size: tuple[int, int] | None = None) -> list[Any]:
    """Learns the outputs of a backbone and of each neck behind it.

    They are built on the meta device, where weights take no memory; where an operator has no meta form, on the CPU.

    Args:
        modules: Configs of the backbone and the necks, in the order of the data.
        size: Image height and width to run at. Defaults to the backbone's own.

    Returns:
        For each module its features (a list of :class:`Feature`), or the exception that building or running it
        raised; after an exception the list ends.
    """
    sizes = [size or _built_for(modules[0])]
    if size is None and sizes == [_DEFAULT_SIZE]:
        sizes += _SMALL_SIZES
    state = torch.get_rng_state()
    results: list[Any] = []
    try:
        for device, tried in [*(('meta', s) for s in sizes), ('cpu', sizes[min(1, len(sizes) - 1)])]:
            found = _run(modules, tried, device)
            if len(found) > len(results) or not isinstance(found[-1], Exception):
                results = found
            if not isinstance(results[-1], Exception):
                break
    finally:
        torch.set_rng_state(state)
    return results


def _built_for(backbone: dict) -> tuple[int, int]:
    """Image size that a backbone is built for; 512 where it takes any."""
    size = next((backbone[key] for key in _SIZE_KEYS if key in backbone), None)
    cls = built_class(backbone, None, MODELS)
    for base in cls.__mro__ if size is None and inspect.isclass(cls) else ():
        parameters = inspect.signature(base.__init__).parameters  # type: ignore[misc]
        size = next((parameters[key].default for key in _SIZE_KEYS if key in parameters), None)
        if size is not None:
            break
    if isinstance(size, (list, tuple)) and len(size) == 2:
        return int(size[0]), int(size[1])
    return (size, size) if isinstance(size, int) else _DEFAULT_SIZE


def _run(modules: Sequence[dict], size: tuple[int, int], device: str) -> list[Any]:
    """Features after each module, or the exception where the run ended."""
    results: list[Any] = []
    value: Any = None
    for i, cfg in enumerate(modules):
        try:
            module = build_module(cfg, device)
            module.eval()  # mmdet's backbones return nothing from it
            if i == 0:
                value = torch.zeros(2, cfg.get('in_channels') or image_channels(module), *size, device=device)
            with quiet(), torch.no_grad():
                value = module(value)
            results.append(_features(value, size))
        except Exception as error:  # a backbone may raise anything; the caller says what it was
            results.append(error)
            break
    return results


def image_channels(module: nn.Module) -> int:
    """Channels of the images that a backbone takes, by its first convolution; 3 where that reads something else."""
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in (1, 3) else 3


def _features(outputs: Any, size: tuple[int, int]) -> list[Feature]:
    """Describes outputs.

    Raises:
        TypeError: They are not maps, tokens or vectors.
    """
    features = []
    for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
        if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
            what = f'a {output.ndim}-dimensional tensor' if isinstance(output, Tensor) else type(output).__name__
            raise TypeError(f'puts out {what} where a map or a vector is expected')
        if output.ndim == 4:
            ratio = max(size[0] / output.shape[2], size[1] / output.shape[3], 1)
            features.append(Feature(output.shape[1], 2 ** round(math.log2(ratio))))
        else:
            features.append(Feature(output.shape[-1], 0, output.ndim))
    return features
