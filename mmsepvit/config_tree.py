"""Walking the dicts of a config."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any


def nodes(tree: Any, skip: Container[str] = ()) -> Iterator[dict]:
    """Yields all dicts of a config's tree, outer ones first, without what stands under the keys to skip."""
    for _, node in named_nodes(tree, '', skip):
        yield node


def named_nodes(tree: Any, path: str, skip: Container[str] = ()) -> Iterator[tuple[str, dict]]:
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


def datasets_of(tree: Any, path: str = '', wrappers: bool = False) -> Iterator[tuple[str, dict]]:
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


def class_counts(model: Any) -> dict[str, int]:
    """How many classes the heads of a model's config tell apart, by dotted path.

    Only heads whose labels are a dataset's own: an auxiliary or a semantic head may have labels of its own making.
    """
    found = {}
    for path, node in named_nodes(model, 'model'):
        name = next((part for part in reversed(path.split('.')) if not part.isdigit()), '')
        if name in ('decode_head', 'bbox_head', 'head') and isinstance(node.get('num_classes'), int):
            # One channel through a sigmoid tells two classes apart.
            found[path] = max(node['num_classes'], 2 if name == 'decode_head' else 1)
        elif name == 'panoptic_head' and 'num_things_classes' in node:
            found[path] = node['num_things_classes'] + node.get('num_stuff_classes', 0)
    return found


def as_list(node: Any) -> list:
    """What stands where a config may have one, several or none."""
    return list(node) if isinstance(node, (list, tuple)) else [node] if node else []


def replace_sync_bn(model: Any) -> int:
    """Turns every SyncBN in a model's config into BN, and counts them."""
    found = [node for node in nodes(model) if node.get('type') in ('SyncBN', 'MMSyncBN')]
    for node in found:
        node['type'] = 'BN'
    return len(found)


def limit_regions(model: Any, most: int) -> None:
    """Lets the second stages of a detector's config train on so many regions of an image at most."""
    for node in nodes(model):
        for stage in as_list(node.get('rcnn')):  # of a train_cfg or a test_cfg; a list where there is a cascade
            sampler = stage.get('sampler') or {}
            if 'num' in sampler:
                sampler['num'] = min(sampler['num'], most)
