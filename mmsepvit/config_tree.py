"""Walking the dicts of a config, and asking what they build."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Container, Iterator, Mapping
from typing import Any

from mmengine.registry import MODELS, Registry
from torch import nn


def nodes(tree: Any, skip: Container[str] = ()) -> Iterator[dict]:
    """Yields all dicts of a config's tree, outer ones first, without what stands under the keys to skip."""
    for _, node in named_nodes(tree, '', skip):
        yield node


def named_nodes(tree: Any, path: str, skip: Container[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yields all dicts of a config's tree with their dotted paths, which begin with ``path``."""
    if isinstance(tree, Mapping):
        yield path, tree
        items = [(key, value) for key, value in tree.items() if key not in skip]
    elif isinstance(tree, (list, tuple)):
        items = list(enumerate(tree))
    else:
        return
    for key, value in items:
        yield from named_nodes(value, f'{path}.{key}', skip)


def datasets_of(tree: Any, path: str = '', wrappers: bool = False) -> Iterator[tuple[str, Any]]:
    """Yields the datasets that read files, from inside any wrappers (RepeatDataset, ConcatDataset and the like).

    Args:
        tree: What stands under ``dataset`` of a dataloader's config: a dataset, a wrapper, or nothing.
        path: Its dotted path, with which the yielded paths begin.
        wrappers: Whether the wrappers are yielded too, each before what it wraps; they may have a pipeline of their
            own. Defaults to False.

    Yields:
        The dotted path and the config of each.
    """
    if isinstance(tree, Mapping):
        inner = {key: tree[key] for key in ('dataset', 'datasets') if isinstance(tree.get(key), (Mapping, list, tuple))}
        if wrappers or not inner:
            yield path, tree
        for key, value in inner.items():
            yield from datasets_of(value, f'{path}.{key}', wrappers)
    elif isinstance(tree, (list, tuple)):
        for i, dataset in enumerate(tree):
            yield from datasets_of(dataset, f'{path}.{i}', wrappers)


def name_classes(tree: Any) -> None:
    """Writes the dotted path of each class in a config's tree in its place, by which any registry finds it.

    A config that names a class itself cannot be written to a file, unless it is a pure Python config in which nothing
    was changed; mmengine's runner writes it beside the weights.
    """
    for node in nodes(tree):
        for key, value in list(node.items()):
            is_named = inspect.isclass(value) or inspect.isfunction(value)
            if is_named and '<' not in value.__qualname__:  # nor one that is made inside of a function
                node[key] = f'{value.__module__}.{value.__qualname__}'


def class_counts(model: Any, scope: str | None = None) -> dict[str, int]:
    """How many classes the heads of a model's config tell apart, by dotted path.

    Only heads whose labels are a dataset's own: others, such as semantic heads of detectors and heads for edges, make
    labels of their own, and those that read a text take its words for classes.

    Args:
        model: The model's config.
        scope: The config's ``default_scope``. Defaults to None, the one that holds now.
    """
    found: dict[str, int] = {}
    if isinstance(model, Mapping) and 'language_model' in model:
        return found
    for path, node in named_nodes(model, 'model'):
        name = next((part for part in reversed(path.split('.')) if not part.isdigit()), '')
        if name in _HEADS and isinstance(node.get('num_classes'), int):
            if name != 'auxiliary_head' or _takes_labels(node, scope):
                # One channel through a sigmoid tells two classes apart.
                found[path] = max(node['num_classes'], 2 if name in ('decode_head', 'auxiliary_head') else 1)
        elif name == 'panoptic_head' and 'num_things_classes' in node:
            found[path] = node['num_things_classes'] + node.get('num_stuff_classes', 0)
    return found


_HEADS = ('decode_head', 'auxiliary_head', 'bbox_head', 'mask_head', 'head')


def _takes_labels(head: dict, scope: str | None) -> bool:
    """Whether an auxiliary head of mmseg's is trained on the class maps as they are."""
    try:
        from mmseg.models.decode_heads.decode_head import BaseDecodeHead
    except ImportError:
        return False
    return getattr(built_class(head, scope, MODELS), 'loss_by_feat', None) is BaseDecodeHead.loss_by_feat


def as_list(node: Any) -> list:
    """A list of what a config may give as one item, as several or as None."""
    return list(node) if isinstance(node, (list, tuple)) else [node] if node else []


def built_class(node: Any, scope: str | None, registry: Registry) -> Any:
    """What a registry would build a dict of a config with.

    Every question about a ``type`` goes through here, since a config may hold a name, a name with a scope, the dotted
    path of a class, or the class itself.

    Args:
        node: The dict.
        scope: The config's ``default_scope``. None means the one that holds now.
        registry: The root registry of that kind of object, such as `mmengine.registry.MODELS`.

    Returns:
        The class, or the function that is registered in its place. None where the node is no dict, has no type, or
        has one that nobody registered.
    """
    kind = node.get('type') if isinstance(node, Mapping) else None
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(node.get('_scope_', scope)) as scoped:
        try:
            return scoped.get(kind)
        except RuntimeError:  # mmengine tries it as the path of a module, whose import may fail
            return None


def builds(node: Any, parent: type | tuple[type, ...], scope: str | None, registry: Registry) -> bool:
    """Whether a registry would build an object of a class, or of one that inherits from it, from a config's dict.

    Args:
        node: The dict.
        parent: The class, or several of them.
        scope: The config's ``default_scope``. None means the one that holds now.
        registry: The root registry of that kind of object.
    """
    found = built_class(node, scope, registry)
    return inspect.isclass(found) and issubclass(found, parent)


def replace_sync_bn(model: Any) -> int:
    """Turns every SyncBN in a model's config into BN, and counts them: PyTorch's and mmcv's own (``MMSyncBN``)."""
    sync_bn: tuple[type, ...] = (nn.SyncBatchNorm,)
    try:
        from mmcv.ops import SyncBatchNorm  # registers both names, too
    except ImportError:  # no config with either can be built then
        pass
    else:
        sync_bn += (SyncBatchNorm,)
    found = [node for node in nodes(model) if builds(node, sync_bn, None, MODELS)]
    for node in found:
        node['type'] = 'BN'
    return len(found)


def model_settings(config: Mapping[str, Any]) -> Any:
    """A copy of the model's config from which it can be built alone, in one process.

    mmengine's Runner adds the data preprocessor that stands beside the model, and turns SyncBN into BN, of which mmcv's
    needs a process group.

    Args:
        config: The whole config.
    """
    wanted = copy.deepcopy(config['model'])  # constructors take things out of it
    replace_sync_bn(wanted)
    if config.get('data_preprocessor') is not None:
        wanted.setdefault('data_preprocessor', copy.deepcopy(config['data_preprocessor']))
    return wanted


def limit_regions(model: Any, most: int) -> None:
    """Lets the second stages of a detector's config train on so many regions of an image at most."""
    for node in nodes(model):
        for stage in as_list(node.get('rcnn')):  # of a train_cfg or a test_cfg; a list where there is a cascade
            sampler = stage.get('sampler') or {}
            if 'num' in sampler:
                sampler['num'] = min(sampler['num'], most)
