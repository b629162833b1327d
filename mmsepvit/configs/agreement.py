"""Settings in two places of a config that have to agree, compared before a training begins.

A contradiction that ends the training is refused. What may be meant, such as a head with more classes than the data
set has, is noted in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS, MODELS, OPTIMIZERS

from ..config_tree import as_list, builds, built_class, class_counts, datasets_of
from ..errors import UserError, did_you_mean
from .widths import check_widths


def check_agreement(config: Config) -> list[str]:
    """Compares what a training config says of its classes and of its metrics.

    Args:
        config: The config, whose packages are imported.

    Returns:
        Notes for the log.

    Raises:
        UserError: The training or its first validation would end for certain.
    """
    _check_optimizer(config)
    check_widths(config)
    if config.get('val_evaluator') and config.get('val_cfg'):
        _check_save_best(config)
    if config.default_scope == 'mmpretrain':
        _check_topk(config)
        _check_one_hot(config)
    heads = class_counts(config.model, config.default_scope)
    # The heads of a panoptic model share the classes out among them.
    counts = [*_classes_of_data(config), *((path, n) for path, n in heads.items() if 'panoptic_head' not in path)]
    if len({count for _, count in counts}) < 2:
        return []
    places = ', '.join(f'{count} in {place}' for place, count in dict.fromkeys(counts))
    return [f'the numbers of classes differ: {places}. A label that a head has no class for ends the training.']


def _check_optimizer(config: Config) -> None:
    """mmengine's constructor of optimizers looks the class up by itself, and asks what it does not find."""
    wrapper = config.optim_wrapper
    optimizer = wrapper.get('optimizer')
    if 'constructor' in wrapper and 'optimizer' not in wrapper:  # one of several, say
        return
    if not isinstance(optimizer, Mapping):
        raise UserError(f'optim_wrapper.optimizer={optimizer!r} must be a group of settings with a type.')
    if built_class(optimizer, config.default_scope, OPTIMIZERS) is None:
        name = optimizer.get('type')
        raise UserError(
            f"optim_wrapper.optimizer.type='{name}' is no optimizer.{did_you_mean(str(name), OPTIMIZERS.module_dict)}"
        )


def _check_save_best(config: Config) -> None:
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    metrics = as_list(config.val_evaluator)
    for name in as_list(hook.get('save_best')):
        if name != 'auto' and not any(_may_report(metric, name, config.default_scope) for metric in metrics):
            kinds = [getattr(built_class(metric, config.default_scope, METRICS), '__name__', '') for metric in metrics]
            raise UserError(
                f"default_hooks.checkpoint.save_best='{name}' is no result of val_evaluator ({', '.join(kinds)}).\n"
                'Name one that it reports; save_best=auto takes the first.'
            )


def _may_report(metric: dict, name: str, scope: str) -> bool:
    cls: Any = built_class(metric, scope, METRICS)
    if getattr(cls, 'evaluate', None) is not BaseMetric.evaluate:
        return True  # whatever it is, it names its results by itself
    prefix = metric.get('prefix') or cls.default_prefix
    if prefix and not name.startswith(f'{prefix}/'):
        return False
    names = _REPORTS.get(f'{cls.__module__}.{cls.__qualname__}', lambda _: None)(metric)
    return names is None or name[len(prefix) + 1 if prefix else 0 :] in names


def _reports_of_iou(metric: dict) -> set[str] | None:
    kinds = {'mIoU': ('mIoU', 'mAcc'), 'mDice': ('mDice', 'mAcc'), 'mFscore': ('mFscore', 'mPrecision', 'mRecall')}
    asked = as_list(metric.get('iou_metrics', ['mIoU']))
    unknown = [kind for kind in asked if kind not in kinds]
    if unknown:
        raise UserError(f"val_evaluator.iou_metrics: IoUMetric knows {', '.join(kinds)}, not '{unknown[0]}'.")
    return {'aAcc', *chain.from_iterable(kinds[kind] for kind in asked)}


def _reports_of_coco(metric: dict) -> set[str] | None:
    asked = as_list(metric.get('metric', 'bbox'))
    if metric.get('classwise') or not {*asked} <= {'bbox', 'segm'}:  # names of classes, numbers of proposals
        return None
    items = metric.get('metric_items') or ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
    return {f'{kind}_{item}' for kind in asked for item in items}


def _reports_of_accuracy(metric: dict) -> set[str] | None:
    if isinstance(metric.get('thrs'), (list, tuple)):  # then the thresholds stand in the names
        return None
    return {'top1', *(f'top{k}' for k in as_list(metric.get('topk', 1)))}


# By the very class: one that inherits may report something else.
_REPORTS: dict[str, Callable[[dict], set[str] | None]] = {
    'mmseg.evaluation.metrics.iou_metric.IoUMetric': _reports_of_iou,
    'mmdet.evaluation.metrics.coco_metric.CocoMetric': _reports_of_coco,
    'mmpretrain.evaluation.metrics.single_label.Accuracy': _reports_of_accuracy,
}


def _check_topk(config: Config) -> None:
    from mmpretrain.evaluation import Accuracy
    from mmpretrain.models import ClsHead

    head = config.model.get('head')
    if not builds(head, ClsHead, 'mmpretrain', MODELS) or not isinstance(head.get('num_classes'), int):
        return
    asked = [('model.head', head.get('topk'))] if head.get('cal_acc') else []
    for split in ('val', 'test'):
        for metric in as_list(config.get(f'{split}_evaluator')):
            if builds(metric, Accuracy, 'mmpretrain', METRICS):
                asked.append((f'{split}_evaluator', metric.get('topk')))
    for where, topk in asked:
        if max(as_list(topk), default=1) > head.num_classes:
            raise UserError(
                f'{where}.topk={topk}, but model.head has {head.num_classes} classes.\n'
                f'Set {where}.topk=1, or to as many as there are classes.'
            )


def _check_one_hot(config: Config) -> None:
    """Mixed labels are made by the data preprocessor, as long as it says, and compared with the head's scores."""
    head = config.model.get('head') or {}
    mixes = (config.model.get('train_cfg') or {}).get('augments')
    for where, parent in (('data_preprocessor', config), ('model.data_preprocessor', config.model)):
        settings = parent.get('data_preprocessor') or {}
        counts = (settings.get('num_classes'), head.get('num_classes'))
        if (mixes or settings.get('to_onehot')) and None not in counts and counts[0] != counts[1]:
            raise UserError(
                f'{where}.num_classes={counts[0]}, but model.head.num_classes={counts[1]}: labels that are mixed in '
                'training would not fit the scores.\nSet both to the number of classes of the data.'
            )


def _classes_of_data(config: Config) -> Iterator[tuple[str, int]]:
    """Number of classes of each data set of the training that tells it before it is read."""
    loader = config.get('train_dataloader') or {}
    for where, dataset in datasets_of(loader.get('dataset'), 'train_dataloader.dataset'):
        cls = built_class(dataset, config.default_scope, DATASETS)
        own = (dataset.get('metainfo') or {}).get('classes') or dataset.get('classes')
        known = getattr(cls, 'METAINFO', None) or {}
        classes = own or known.get('classes')
        # Else it is the name of a file, or a panoptic model's heads share the classes out among them.
        if isinstance(classes, (list, tuple)) and 'thing_classes' not in known:
            # Of maps with one class, a head takes everything else for the second one.
            count = max(len(classes), 2 if config.default_scope == 'mmseg' else 1)
            yield f'{where} ({getattr(cls, "__name__", dataset.get("type"))})', count
