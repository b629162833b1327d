"""Samples that cannot be loaded or trained on: named, and left out where that is asked for.

In training another sample takes the place of one that is left out, so that every process does the same number of
steps. Which one follows from the number of the draw alone, so a resumed run stays the same run. In validation and test
nothing takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from traceback import walk_tb
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS
from mmengine.runner import BaseLoop
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from ..config_tree import as_list, class_counts, nodes
from ..datasets.naming import DataError, blame, describe, explain, locate, named_errors
from ..errors import UserError, is_loss_of_a_process
from .left_out import WHY, LeftOut

_HELP = 'tools/check_data.py CONFIG finds what is wrong with the data; --skip-bad N leaves up to N samples out.'


@dataclass(frozen=True)
class LabelRange:
    """The labels that a model can be trained on.

    Attributes:
        classes: They are less than this.
        ignored: Others that its losses pass over.
    """

    classes: int
    ignored: frozenset[int]

    @classmethod
    def of(cls, model: Any) -> LabelRange | None:
        """That of a model's config; None if no head says how many classes it tells apart."""
        counts = class_counts(model).values()
        ignored = {node['ignore_index'] for node in nodes(model) if isinstance(node.get('ignore_index'), int)}
        return cls(min(counts), frozenset({255} | ignored)) if counts else None


class GuardedDataset(Dataset):
    """Names the dataset, image and annotation in every error of another dataset.

    Everything else is that dataset's: its length, its ``metainfo``, its ``pipeline``.

    Args:
        dataset: Config of that dataset.
        labels: Range of the model's labels; others are errors of training samples. Defaults to unknown.
        left_out: Where samples with errors are noted; ``None`` then stands in their place. Defaults to nowhere: the
            error is raised.

    Raises:
        DataError: The dataset cannot be built from its files.
    """

    training = False

    def __init__(self, dataset: dict, labels: LabelRange | None = None, left_out: LeftOut | None = None) -> None:
        with named_errors():
            self.dataset = DATASETS.build(dataset)
        self.labels = labels
        self.left_out = left_out

    def __len__(self) -> int:
        return len(self.dataset)

    def load(self, index: int) -> Any:
        """Loads a sample.

        Raises:
            DataError: It cannot be loaded, or not be trained on.
        """
        try:
            sample = self.dataset[index]
        except Exception as error:
            where = describe(*(blame(error) or locate(self.dataset, index)))
            raise DataError(f'{where}{WHY}{explain(error)}\n{_HELP}') from error
        problem = self._problem(sample, index)
        if problem:
            raise DataError(f'{describe(*locate(self.dataset, index))}{WHY}{problem}\n{_HELP}')
        return sample

    def __getitem__(self, index: int) -> Any:
        try:
            return self.load(int(index))
        except DataError as error:
            if self.left_out is None:
                raise
            self.left_out.add(error)
            return None

    def _problem(self, sample: Any, index: int) -> str:
        """What would fail in the model, where the file's name is no longer known; empty if nothing would."""
        inputs = sample.get('inputs') if isinstance(sample, dict) else None
        annotation = sample.get('data_samples') if isinstance(sample, dict) else None
        if not isinstance(inputs, torch.Tensor):
            return ''
        if inputs.is_floating_point() and not inputs.isfinite().all():
            return 'the image has values that are no finite numbers'
        if not isinstance(annotation, BaseDataElement):
            return ''
        if 'data' in annotation.get('gt_sem_seg', ()):
            return self._problem_of_map(annotation, tuple(inputs.shape[-2:]))
        if not self.training:
            return ''
        if 'bboxes' in annotation.get('gt_instances', ()):
            return self._problem_of_labels(annotation.gt_instances.get('labels')) or self._problem_of_boxes(
                annotation, index
            )
        return self._problem_of_labels(annotation.get('gt_label'))

    def _problem_of_map(self, annotation: BaseDataElement, image: tuple[int, ...]) -> str:
        labels = annotation.gt_sem_seg.data
        expected = image if self.training else tuple(annotation.get('ori_shape', labels.shape[-2:]))[:2]
        if tuple(labels.shape[-2:]) != expected:
            return f'the annotation has {_size(labels.shape[-2:])} pixels, the image {_size(expected)}'
        return self._problem_of_labels(labels) if self.training else ''

    def _problem_of_labels(self, labels: Any) -> str:
        if self.labels is None or not isinstance(labels, torch.Tensor) or labels.is_floating_point():
            return ''
        classes = self.labels.classes
        wrong = labels[(labels >= classes) | (labels < 0)]
        for ignored in self.labels.ignored | {getattr(self.dataset, 'ignore_index', 255)}:
            wrong = wrong[wrong != ignored]
        if not wrong.numel():
            return ''
        return f'label {int(wrong[0])}, and the model has {classes} classes: 0 to {classes - 1}'

    def _problem_of_boxes(self, annotation: BaseDataElement, index: int) -> str:
        """A box beside its image, as where the image's header turns it, becomes one without area, and the loss NaN."""
        dataset, index = locate(self.dataset, index)
        if not hasattr(dataset, 'get_data_info') or 'ori_shape' not in annotation:
            return ''
        info = dataset.get_data_info(index)
        if info.get('img_path') != annotation.get('img_path'):  # another one took its place
            return ''
        height, width = annotation.ori_shape[:2]
        for instance in info.get('instances', ()):
            x1, y1, x2, y2 = instance['bbox'] if len(instance.get('bbox', ())) == 4 else (0, 0, 1, 1)
            # So written, a box of NaN is one too.
            if not (x1 < width and y1 < height and x2 > 0 and y2 > 0) and not instance.get('ignore_flag'):
                return (
                    f'box {[x1, y1, x2, y2]} lies outside the image, which loads as {_size((height, width))} '
                    f'(the annotation says {_size((info.get("height"), info.get("width")))})'
                )
        return ''

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # asked for by pickle before there is one
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def pipeline(self) -> Any:
        """The transforms, which hooks may replace in the middle of a training."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        self.dataset.pipeline = pipeline


def collate_guarded(samples: list, collate: Callable[[list], Any]) -> Any:
    """Makes a batch of the samples that are there; None without any.

    Args:
        samples: The samples; None stands for one that is left out.
        collate: What makes the batch.

    Raises:
        DataError: They make no batch; the message names their images.
    """
    samples = [sample for sample in samples if sample is not None]
    try:
        return collate(samples) if samples else None
    except Exception as error:
        raise DataError(f'{_images(samples)} make no batch: {explain(error)}\n{_HELP}') from error


def guarded_collate(dataloader: dict) -> dict:
    """The ``collate_fn`` of a dataloader's config, guarded."""
    collate = dataloader.get('collate_fn') or {'type': 'pseudo_collate'}
    if callable(collate):
        return {'type': collate_guarded, 'collate': collate}
    collate = dict(collate)
    kind = collate.pop('type')
    collate = partial(FUNCTIONS.get(kind) if isinstance(kind, str) else kind, **collate)
    return {'type': collate_guarded, 'collate': collate}


def guarded_dataloader(dataloader: dict, left_out: LeftOut | None) -> dict:
    """The config of a validation's or test's dataloader, over a guarded dataset.

    Where samples may be left out, the ranks' shares are not filled up with repeated samples: mmengine cuts the repeated
    results off by their number, which would no longer be right.
    """
    guarded = dict(
        dataloader,
        dataset={'type': GuardedDataset, 'dataset': dataloader['dataset'], 'left_out': left_out},
        collate_fn=guarded_collate(dataloader),
    )
    sampler = dataloader.get('sampler')
    if left_out is not None and isinstance(sampler, dict):
        kind = sampler['type']
        if (DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind) is DefaultSampler:
            guarded['sampler'] = {**sampler, 'round_up': False}
    return guarded


def guard_metrics(loop: BaseLoop, evaluator: Any) -> None:
    """Names the annotation file in errors of pycocotools, which reads it once more to compare the results with.

    Args:
        loop: The loop whose evaluator is guarded.
        evaluator: The evaluator's config.
    """
    if not hasattr(loop, 'evaluator'):
        return
    files = [metric['ann_file'] for metric in as_list(evaluator) if isinstance(metric, dict) and metric.get('ann_file')]
    evaluate = loop.evaluator.evaluate

    @wraps(evaluate)
    def guarded(size: int) -> dict:
        try:
            return evaluate(size)
        except Exception as error:
            read = any('pycocotools' in frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
            if not files or not read:
                raise
            raise DataError(f"metric, annotation file '{', '.join(files)}'{WHY}{explain(error)}\n{_HELP}") from error

    loop.evaluator.evaluate = guarded


def name_batches(loop: BaseLoop) -> None:
    """Logs the images of the batch at which a loop ends with an error: it may be theirs or the model's."""
    if not hasattr(loop, 'run_iter'):
        return
    run_iter = loop.run_iter

    @wraps(run_iter)
    def named(*args: Any) -> Any:
        try:
            return run_iter(*args)
        except UserError:
            raise
        except Exception as error:
            if is_loss_of_a_process(error):
                raise
            batch = args[-1] if isinstance(args[-1], dict) else {}
            samples = [{'data_samples': sample} for sample in as_list(batch.get('data_samples'))]
            loop.runner.logger.error(f'this batch ended the run: {_images(samples)}')
            raise

    loop.run_iter = named


def _size(shape: Any) -> str:
    height, width = shape
    return f'{width}x{height}'


def _images(samples: list) -> str:
    found = []
    for sample in samples:
        sample = sample if isinstance(sample, dict) else {}
        path = getattr(sample.get('data_samples'), 'img_path', None)
        shape = tuple(getattr(sample.get('inputs'), 'shape', ())) or ''
        found.append(f'{path or "a sample"} {shape}'.strip())
    return ', '.join(found)
