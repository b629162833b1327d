"""Whether the datasets of a config, its heads and its metrics mean the same classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import METRICS

from ...config_tree import as_list, builds, named_nodes
from .faults import Fault


def class_names(dataset: Any) -> tuple[str, ...]:
    """A dataset's names of classes; empty if it has none."""
    return tuple(dataset.metainfo.get('classes') or ())


def name_faults(settings: dict, where: str) -> Iterator[Fault]:
    """Names in a dataset's config that are one text, which Python takes for a sequence of letters, or are not read."""
    if 'CLASSES' in (settings.get('metainfo') or {}):
        yield Fault('class-names', where, 'metainfo.CLASSES is read by no class any more; it is metainfo.classes')
    for names in ((settings.get('metainfo') or {}).get('classes'), settings.get('classes')):
        if isinstance(names, str) and not Path(names).is_file():  # a file has a name a line
            yield Fault(
                'class-names', where, f"classes is the text '{names}'; a tuple of one has a comma: ('{names}',)"
            )


def folder_faults(dataset: Any, where: str) -> Iterator[Fault]:
    """Names of classes in another order than that of their folders, by which a dataset of folders numbers them."""
    names, folders = class_names(dataset), tuple(getattr(dataset, 'folder_to_idx', None) or ())
    if sorted(names) == sorted(folders) and names != folders:
        label = next(i for i, pair in enumerate(zip(names, folders)) if pair[0] != pair[1])
        text = f"label {label} is folder '{folders[label]}', and '{names[label]}' in metainfo.classes"
        yield Fault('class-names', where, text)


def ignore_faults(model: Any, evaluator: Any, dataset: Any, where: str) -> Iterator[Fault]:
    """Heads and metrics that take for a class what a dataset of class maps ignores.

    Args:
        model: The model's config.
        evaluator: The evaluator's config of the dataset's split; None in training.
        dataset: The dataset, whose maps have ignored pixels.
        where: Its place in the config.
    """
    ignored = getattr(dataset, 'ignore_index', 255)
    heads = [
        (path, node)
        for path, node in named_nodes(model, 'model')
        if path.rstrip('.0123456789').endswith('_head') and 'num_classes' in node
    ]
    metrics = [('the metric', node) for node in as_list(evaluator) if _is_iou(node)]
    for place, node in [*heads, *metrics]:
        number = node.get('ignore_index', 255)
        if number is not None and number != ignored:
            yield Fault('class-id-range', where, f'{ignored} is ignored here, and {place} ignores {number}')


def _is_iou(metric: Any) -> bool:
    """Whether a metric of a config is mmseg's, or inherits from it."""
    from mmseg.evaluation import IoUMetric

    return builds(metric, IoUMetric, None, METRICS)


def other_than(trained: Sequence[Any], dataset: Any, where: str) -> Iterator[Fault]:
    """Names or order of classes that no training dataset has, so that labels mean something else.

    Args:
        trained: The training datasets.
        dataset: A dataset of another split.
        where: Its place in the config.
    """
    names = _labelled_names(dataset)
    known = [_labelled_names(other) for other in trained]
    if not names or not known or not all(known) or names in known:
        return
    first = known[0]
    label = next((i for i, pair in enumerate(zip(names, first)) if pair[0] != pair[1]), min(len(names), len(first)))
    here, there = (f"'{found[label]}'" if label < len(found) else 'none' for found in (names, first))
    text = f'label {label} is {here} here and {there} in training ({len(names)} and {len(first)} classes)'
    yield Fault('class-names', where, text)


def _labelled_names(dataset: Any) -> tuple[str, ...]:
    # A dataset of folders numbers them by their order, whatever names it was given.
    return tuple(getattr(dataset, 'folder_to_idx', None) or class_names(dataset))


def head_faults(heads: dict[str, int], dataset: Any, labels: Sequence[int], where: str) -> Iterator[Fault]:
    """Heads that tell fewer classes apart than the dataset has; or more, where that ends a validation.

    Args:
        heads: Number of classes of each head, by its place in the config.
        dataset: The dataset.
        labels: The class ids that its samples have.
        where: Its place in the config.
    """
    if getattr(dataset, 'return_classes', False):  # an open vocabulary: the names are an input
        return
    names = dataset.metainfo.get('classes')
    # Of a panoptic dataset, detectors find the things alone.
    things = dataset.metainfo.get('thing_classes')
    count = 0 if isinstance(names, str) else len(names or ())
    for head, number in heads.items():
        detects = head.rstrip('.0123456789').endswith('bbox_head')
        wanted = len(things) if detects and things else count
        wanted = max([wanted, *(label + 1 for label in labels)])
        if number < wanted or (detects and number > wanted):
            yield Fault('class-count', where, f'{head}.num_classes is {number}, the dataset has {wanted} classes')


def metric_faults(evaluator: Any) -> Iterator[Fault]:
    """Annotation files of metrics that pycocotools fails on when it compares the first results."""
    for metric in as_list(evaluator):
        path = metric.get('ann_file') if isinstance(metric, dict) else None
        if not path or Path(path).suffix != '.json' or not Path(path).is_file():
            continue
        try:
            content = json.loads(Path(path).read_text(encoding='utf-8'))
        except ValueError:  # said of the dataset that reads it too
            continue
        # pycocotools copies it without asking.
        if isinstance(content, dict) and 'images' in content and 'info' not in content:
            yield Fault('metric-file', path, 'it has no "info"; add "info": {} to the file')
