"""Reads every sample of a config's data sets before a week of training does.

The config's own dataset classes and their own loading steps read, so what is checked is what a training gets. What
those classes silently leave out is looked for in their annotation files and folders.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope

from ...config_tree import as_list, class_counts, datasets_of
from ...errors import UserError
from ..naming import explain
from . import classes, files
from .annotation_files import coco_faults, list_faults, read_coco
from .faults import FAULTS, Fault, Report
from .samples import loading_steps, read_samples

__all__ = ['FAULTS', 'Fault', 'Report', 'check_data']

SPLITS = ('train', 'val', 'test')

Advance = Callable[[int, int], None]


def check_data(config: Config, workers: int | None = None, advance: Advance | None = None) -> list[Report]:
    """Checks the data sets of all splits.

    Args:
        config: A segmentation, detection or classification config.
        workers: Processes that read. Defaults to one a CPU.
        advance: Called with the number of samples read and to read, as they come and go.

    Returns:
        A report for each different data set; splits with the same one share it.

    Raises:
        UserError: The config has no data sets.
    """
    with DefaultScope.overwrite_default_scope(config.default_scope):
        checks = _different_datasets(config)
        if not checks:
            raise UserError('the config has no dataset in train_dataloader, val_dataloader, test_dataloader.')
        for check in checks:
            check.open()
        total, done = sum(check.length for check in checks), 0
        workers = os.cpu_count() or 1 if workers is None else workers
        _open_wrappers(checks, config)
        for check in checks:
            for _ in check.read(workers):
                done += 1
                if advance is not None:
                    advance(done, total)
        _compare(checks, config)
    return [check.report for check in checks]


def _different_datasets(config: Config) -> list[_Check]:
    """The datasets of all splits; the same one in two splits once."""
    checks: dict[str, _Check] = {}
    for split in SPLITS:
        loader = config.get(f'{split}_dataloader')
        for path, settings in datasets_of(loader['dataset'] if loader else None, f'{split}_dataloader.dataset'):
            key = _key(settings)
            if key not in checks:
                checks[key] = _Check(settings, path, config.default_scope)
            checks[key].report.splits.append(split)
    return list(checks.values())


def _key(settings: Any) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _open_wrappers(checks: list[_Check], config: Config) -> None:
    """Builds the wrappers around the datasets, which ask questions of their own, as of classes that differ."""
    found = {_key(check.settings): check for check in checks}

    def with_datasets(node: Any) -> Any:
        if isinstance(node, (list, tuple)):
            return [with_datasets(item) for item in node]
        if not isinstance(node, dict):
            return node
        check = found.get(_key(node))
        if check is not None:
            return {'type': lambda: check.dataset}
        return {key: with_datasets(value) if key in ('dataset', 'datasets') else value for key, value in node.items()}

    for split in SPLITS:
        loader = config.get(f'{split}_dataloader')
        tree, path = loader['dataset'] if loader else None, f'{split}_dataloader.dataset'
        inside = [found[_key(node)] for _, node in datasets_of(tree, path)]
        if not inside or inside[0].settings is tree or not all(check.opened for check in inside):
            continue
        try:
            with _quiet():
                inside[0].registry.build(with_datasets(tree))
        except Exception as error:  # whatever stops the wrapper would stop the training
            inside[0].report.add([Fault('dataset-class', path, explain(error))])


def _compare(checks: list[_Check], config: Config) -> None:
    """Compares the data sets with each other, with the heads and with the metrics."""
    used = {os.path.normpath(path) for check in checks for path in check.used}
    folders = {path.rpartition('/')[0] for path in used}  # Path takes minutes for a million
    trained = [check.dataset for check in checks if 'train' in check.report.splits and check.opened]
    heads = class_counts(config.get('model'))
    seen: set[str] = set()
    for check in checks:
        is_closed = not check.opened and {fault.kind for fault in check.report.faults} & _CLOSED
        if check.dataset is None or is_closed:
            continue
        for fault in files.unused(check.dataset, used, folders, check.maps):  # two splits may share a folder
            if fault.where not in seen:
                seen.add(fault.where)
                check.report.add([fault])
        if not check.opened:
            continue
        check.report.add(classes.head_faults(heads, check.dataset, sorted(check.labels), check.path))
        check.report.add(classes.folder_faults(check.dataset, check.path))
        if 'train' not in check.report.splits:
            check.report.add(classes.other_than(trained, check.dataset, check.path))
        if check.ignores:
            evaluators = [config.get(f'{split}_evaluator') for split in check.report.splits if split != 'train']
            metrics = [metric for evaluator in evaluators for metric in as_list(evaluator)]
            check.report.add(classes.ignore_faults(config.get('model'), metrics, check.dataset, check.path))
    for split in ('val', 'test'):
        found = classes.metric_faults(config.get(f'{split}_evaluator'))
        report = next((check.report for check in checks if split in check.report.splits), checks[0].report)
        report.add(fault for fault in found if fault not in report.faults)


# Of a dataset that was not read, every file is unused.
_CLOSED = {'missing-folder', 'missing-file', 'dataset-class'}


class _Check:
    """One data set, and what is found in it."""

    def __init__(self, settings: dict, path: str, scope: str) -> None:
        self.settings = settings
        self.path = path
        self.registry = import_module(f'{scope}.registry').DATASETS
        kind = settings.get('type')
        if kind is None:
            raise UserError(f'{path} in the config names no type, so there is no class to read it.')
        name = kind if isinstance(kind, str) else kind.__name__
        self.report = Report([], name, str(settings.get('data_root') or '.'))
        self.dataset: Any = None
        self.opened = False
        self.maps = False
        self.used: set[str] = set()
        self.labels: set[int] = set()
        self.ignores = False

    @property
    def length(self) -> int:
        return len(self.dataset) if self.opened else 0

    def open(self) -> None:
        """Builds the dataset and reads its annotation file."""
        self.report.add(classes.name_faults(self.settings, self.path))
        try:
            with _quiet():
                # Not loaded yet: what is not there is said better than the class says it.
                self.dataset = self.registry.build({**self.settings, **self._arguments()})
        except Exception as error:  # whatever stops the class would stop the training
            self._refused(error)
            return
        if not isinstance(self.dataset, BaseDataset):
            raise UserError(
                f'{self.path}: {self.report.dataset} is no BaseDataset of mmengine, so it cannot be checked.'
            )
        self.maps = any(getattr(step, 'with_seg', False) for step in loading_steps(self.dataset))
        missing = list(files.missing(self.dataset, self.maps))
        self.report.add(missing)
        if missing:
            return
        self.report.add(self._annotation_file_faults())
        self.report.add(files.empty_class_folders(self.dataset))
        try:
            with _quiet():
                self.dataset.full_init()
        except Exception as error:
            empty = list(files.without_files(self.dataset))
            # numpy cannot join the samples where there is none.
            if not empty and any(
                frame.name == '_serialize_data' for frame in traceback.extract_tb(error.__traceback__)
            ):
                where = getattr(self.dataset, 'ann_file', '') or self.report.root
                empty = [Fault('no-images', where, 'the class finds no sample')]
            self.report.add(empty)
            if not empty:
                self._refused(error)
            return
        self.opened = True

    def read(self, workers: int) -> Iterator[None]:
        """Reads all samples; yields after each."""
        if not self.opened:
            return
        annotations = 0
        known = {fault.kind for fault in self.report.faults}
        for samples in read_samples(self.dataset, workers):
            yield
            for sample in samples:
                self.used.update(filter(None, (sample.image, sample.annotation)))
                self.labels |= sample.labels
                self.ignores |= sample.ignores
                annotations += max(sample.objects, bool(sample.labels or (self.maps and sample.annotation)))
                # Said with the number of the annotation before.
                self.report.add(fault for fault in sample.faults if fault.kind != 'bad-mask' or 'bad-mask' not in known)
        names = classes.class_names(self.dataset)
        counts = self.report.counts
        counts.setdefault('images', len(self.dataset))
        counts.update({'annotations': annotations, 'classes seen': len(self.labels)})
        boxes = any(getattr(step, 'with_bbox', False) for step in loading_steps(self.dataset))
        if boxes and len(self.dataset) and not annotations:
            self.report.add([Fault('no-objects', self.path, f'of the classes {", ".join(names[:5])} ({len(names)})')])
        # Only mmseg's datasets have the attribute: of boxes, one class may be all that there is.
        of_maps = self.maps and hasattr(self.dataset, 'reduce_zero_label')
        if of_maps and annotations and len(names) > 1 and len(self.labels) < 2:
            text = f'{"no label" if not self.labels else f"only label {min(self.labels)}"} of {len(names)} classes'
            self.report.add([Fault('one-class', self.path, text)])

    def _arguments(self) -> dict:
        """What keeps a dataset class from loading at once, from leaving samples out, and from downloading."""
        kind = self.settings['type']
        cls = self.registry.get(kind) if isinstance(kind, str) else kind
        known = {name for base in getattr(cls, '__mro__', ()) for name in inspect.signature(base.__init__).parameters}
        everything = {'filter_empty_gt': False, 'min_size': 0}  # of None, videos make a filter of their own
        wanted = {'lazy_init': True, 'filter_cfg': everything, 'download': False}
        return {name: value for name, value in wanted.items() if name in known}

    def _annotation_file_faults(self) -> Iterator[Fault]:
        path = getattr(self.dataset, 'ann_file', '')
        if not path or files.is_remote(self.dataset, path):
            return
        if _is_coco(self.dataset):
            lists, faults = read_coco(path)
            yield from faults
            if lists is not None:
                masks = any(getattr(step, 'with_mask', False) for step in loading_steps(self.dataset))
                yield from coco_faults(path, lists, classes.class_names(self.dataset), masks)
                folder = self.dataset.data_prefix.get('img', '')
                self.used.update(str(Path(folder, image.get('file_name', ''))) for image in lists['images'])
                self.report.counts['images'] = len(lists['images'])
        elif getattr(self.dataset, 'extensions', None) and getattr(self.dataset, 'with_label', False):
            yield from list_faults(path, self.dataset.data_prefix.get('img_path', ''))

    def _refused(self, error: Exception) -> None:
        self.report.add([Fault('dataset-class', f'{self.path} ({self.report.dataset})', explain(error))])


def _is_coco(dataset: Any) -> bool:
    """Whether the dataset reads COCO's own format, which a panoptic one changes."""
    with contextlib.suppress(ImportError):
        from mmdet.datasets import CocoDataset, CocoPanopticDataset

        return isinstance(dataset, CocoDataset) and not isinstance(dataset, CocoPanopticDataset)
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pycocotools prints while it reads."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
