"""Learning what a backbone, and the necks behind it, put out: by building and running them without memory."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_SIZE_KEYS = ('img_size', 'input_size', 'input_resolution')
_DEFAULT_SIZE = (512, 512)  # large enough for the last level of an SSD
# Backbones with a classifier of their own take one size only: VGG, LeNet.
_SMALL_SIZES = ((224, 224), (32, 32))
# What a factory function makes is weights, but for these: small tables that are read while a module is built.
_TABLES = (torch.linspace, torch.arange, torch.tensor, torch.logspace)


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


class WeightlessMode(TorchFunctionMode):
    """Puts new tensors on the meta device, except tables that constructors read numbers from."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        factories = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
        if func in factories and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


@contextmanager
def quiet():
    """Keeps the packages' warnings and log lines (one a parameter on initialisation) back."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def scope_module(scope: str | None) -> None:
    """Imports the models of a package, so that its registry is full."""
    if scope not in (None, 'mmengine'):
        import_module(f'{scope}.models')


def model_class(node: dict, scope: str | None) -> type | None:
    """Class that a config node's ``type`` names, None where no registry has it."""
    kind = node.get('type')
    if kind is None or not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(scope) as registry, quiet():
        return registry.get(kind)


def without_weights(node: Any) -> Any:
    """A copy of a config node with every link to pretrained weights taken out."""
    if isinstance(node, dict):
        links = ('init_cfg', 'pretrained')
        return type(node)((k, without_weights(v)) for k, v in node.items() if k not in links)
    if isinstance(node, (list, tuple)):
        return type(node)(without_weights(v) for v in node)
    return copy.deepcopy(node)


def image_size(backbone: dict, cls: type | None) -> tuple[int, int]:
    """Image size that a backbone is built for; 512 where it takes any."""
    size = next((backbone[key] for key in _SIZE_KEYS if key in backbone), None)
    if size is None and cls is not None:
        for base in cls.__mro__:
            parameters = inspect.signature(base.__init__).parameters
            size = next((parameters[key].default for key in _SIZE_KEYS if key in parameters), None)
            if size is not None:
                break
    if isinstance(size, (list, tuple)) and len(size) == 2:
        return int(size[0]), int(size[1])
    return (size, size) if isinstance(size, int) else _DEFAULT_SIZE


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
            ratio = max(size[0] / output.shape[2], size[1] / output.shape[3])
            stride = 2 ** round(torch.log2(torch.tensor(max(ratio, 1.0))).item())
            features.append(Feature(output.shape[1], stride, 4))
        else:
            features.append(Feature(output.shape[-1], 0, output.ndim))
    return features


def build_module(node: dict, scope: str | None, device: str = 'meta') -> nn.Module:
    """Builds a config node without pretrained weights.

    Args:
        node: The config.
        scope: Package whose classes it names.
        device: 'meta', where weights take no memory, or 'cpu'. Defaults to 'meta'.
    """
    with DefaultScope.overwrite_default_scope(scope), quiet():
        node = without_weights(node)
        if device != 'meta':
            return MODELS.build(node)
        with WeightlessMode():
            module = MODELS.build(node)
        return module.to('meta')


def _run(modules: Sequence[dict], scope: str | None, size: tuple[int, int], device: str) -> list[Any]:
    """Features after each module; an exception in place of those that could not be had."""
    results: list[Any] = []
    value: Any = None
    for i, cfg in enumerate(modules):
        try:
            module = build_module(cfg, scope, device)
            module.eval()  # mmdet's backbones return nothing from it
            if i == 0:
                value = torch.zeros(2, cfg.get('in_channels') or _in_channels(module), *size, device=device)
            with DefaultScope.overwrite_default_scope(scope), quiet(), torch.no_grad():
                value = module(value)
            results.append(_features(value, size))
        except Exception as error:  # any backbone's own: it is handed on, not swallowed
            results.append(error)
            break
    return results


def _in_channels(module: nn.Module) -> int:
    """Channels of the images that a backbone takes: those of its first convolution over 1 or 3."""
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    return convs[0].in_channels if convs and convs[0].in_channels in (1, 3) else 3


def learn_outputs(modules: Sequence[dict], scope: str | None, size: tuple[int, int] | None = None) -> list[Any]:
    """Learns the outputs of a backbone and of each neck behind it.

    They are built on the meta device, where weights take no memory; where an operator has no meta form, on the CPU.

    Args:
        modules: Configs of the backbone and the necks, in the order of the data.
        scope: Package whose classes they name.
        size: Image height and width to run at. Defaults to the backbone's own.

    Returns:
        For each module its features (a list of :class:`Feature`), or the exception that building or running it
        raised; after an exception the list ends.
    """
    scope_module(scope)
    sizes = [size or image_size(modules[0], model_class(modules[0], scope))]
    if size is None and sizes == [_DEFAULT_SIZE]:
        sizes += _SMALL_SIZES
    state = torch.get_rng_state()
    results: list[Any] = []
    try:
        for device, tried in [*(('meta', s) for s in sizes), ('cpu', sizes[min(1, len(sizes) - 1)])]:
            found = _run(modules, scope, tried, device)
            if len(found) > len(results) or not isinstance(found[-1], Exception):
                results = found
            if not isinstance(results[-1], Exception):
                break
    finally:
        torch.set_rng_state(state)
    return results
