"""Reads the samples of a dataset with the loading steps of its own pipeline, in worker processes."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ..naming import explain
from .faults import Fault

SMALLEST_SIDE = 4
"""Pixels of the stem's patch, the first thing that a training needs of an image."""

BOX_TOLERANCE = 1.0
"""Pixels: annotators' boxes and polygons are drawn to parts of a pixel beyond the border."""

_BATCH = 16
_ORIENTATION = 0x0112


class Sample(NamedTuple):
    """What was found in one sample.

    Attributes:
        image: Path of its image; empty if the dataset has no such files.
        annotation: Path of its class map; empty if it has none.
        labels: Its class ids, without the ignored one.
        ignores: Whether it has pixels of the ignored one.
        objects: Number of boxes.
        faults: What is wrong with it.
    """

    image: str
    annotation: str
    labels: frozenset[int]
    ignores: bool
    objects: int
    faults: list[Fault]


def loading_steps(dataset: Any) -> list[Callable]:
    """The steps of a built dataset's pipeline that read files, those inside of others that hand their input on too."""
    return list(_loading(_pipeline(dataset)))


def _pipeline(dataset: Any) -> Sequence[Callable]:
    return getattr(getattr(dataset, 'pipeline', None), 'transforms', ())


def _loading(steps: Iterable[Callable]) -> Iterator[Callable]:
    for step in steps:
        if _is_loading(step):
            yield step
        yield from _loading(getattr(getattr(step, 'transforms', None), 'transforms', ()))  # of a TransformBroadcaster


def _is_loading(step: Callable) -> bool:
    return any(cls.__name__.startswith('Load') for cls in type(step).__mro__)


def _first_steps(dataset: Any) -> list[Callable]:
    """What is to be run of a pipeline to have all files read: whatever stands before its last loading step.

    Loaders of one's own have any name. Where none has a known one, that is the whole pipeline.
    """
    steps, loading = list(_pipeline(dataset)), loading_steps(dataset)
    if any(step not in steps for step in loading):  # of a video, whose frames are read one by one
        return loading
    return steps[: steps.index(loading[-1]) + 1] if loading else steps


def read_samples(dataset: Any, workers: int) -> Iterator[list[Sample]]:
    """Reads all samples of a dataset, in order; of a video, that is its frames.

    Args:
        dataset: The dataset, which has loaded its annotation file.
        workers: Processes that read; 0 reads in this one.
    """
    loader = DataLoader(
        _Samples(dataset),
        batch_size=_BATCH,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=_start_worker,
    )
    for batch in loader:
        yield from batch


def _start_worker(worker: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class _Samples(Dataset):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.steps = _first_steps(dataset)
        self.classes = len(dataset.metainfo.get('classes') or ())

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> list[Sample]:
        info = self.dataset.get_data_info(index)
        frames = info.get('images')  # of a video
        return [self._read(frame, f'sample {index}') for frame in (frames if isinstance(frames, list) else [info])]

    def _read(self, info: dict, name: str) -> Sample:
        image, annotation = (_path(info.get(key)) for key in ('img_path', 'seg_map_path'))
        faults: list[Fault] = []
        loaded = self._load(info, image or name, annotation, faults)
        if 'img' in loaded:
            faults += _image_faults(image, loaded)
        labels = self._labels(loaded)
        ignored: frozenset[int] = frozenset()
        where = annotation or image or name
        if annotation and 'gt_seg_map' in loaded and 'img' in loaded:
            labels, found = self._map_faults(annotation, loaded)
            faults += found
            ignored = labels & {getattr(self.dataset, 'ignore_index', 255)}
            labels -= ignored
        wrong = sorted(i for i in labels if self.classes and not 0 <= i < self.classes)
        if wrong:
            text = f'label {", ".join(map(str, wrong[:5]))} as loaded; allowed are 0 to {self.classes - 1}'
            faults.append(Fault('class-id-range', where, text))
        objects = len(info.get('instances') or ())
        return Sample(image, annotation, labels - set(wrong), bool(ignored), objects, faults)

    def _load(self, info: dict, image: str, annotation: str, faults: list[Fault]) -> dict:
        """Runs the loading steps; returns what they have made until one failed."""
        for step in self.steps:
            had_image = not {'img', 'inputs'}.isdisjoint(info)
            if had_image and not _is_loading(step):
                continue
            try:
                result = step(info)
                error = 'the config leaves unreadable images out (ignore_empty)' if result is None else ''
            except Exception as failure:  # whatever a step raises would end the training
                result, error = None, explain(failure)
            if result is not None:
                info = result
                continue
            if not had_image:
                missing = not Path(image).exists()
                error = 'the file is empty' if not missing and Path(image).stat().st_size == 0 else error
                faults.append(Fault('missing-file' if missing else 'unreadable-image', image, error))
            elif annotation and not Path(annotation).exists():
                faults.append(Fault('image-without-annotation', image, f'{annotation} does not exist'))
            elif getattr(step, 'with_mask', False):
                without = sum('mask' not in instance for instance in info.get('instances', ()))
                text = f'{without} objects have no mask, and the config loads masks' if without else error
                faults.append(Fault('bad-mask', image, text))
            else:
                faults.append(Fault('unreadable-annotation', annotation or image, error))
            return info
        if {'img', 'inputs'}.isdisjoint(info):
            faults.append(Fault('unreadable-image', image, 'no step of the pipeline loads it'))
        return info

    def _labels(self, info: dict) -> frozenset[int]:
        found = info.get('gt_label', [instance.get('bbox_label') for instance in info.get('instances') or ()])
        values = np.atleast_1d(np.asarray(found)).ravel()
        return frozenset(values.astype(int).tolist()) if values.dtype.kind in 'iu' else frozenset()

    def _map_faults(self, path: str, info: dict) -> tuple[frozenset[int], list[Fault]]:
        labels = info['gt_seg_map']
        if labels.ndim != 2:
            text = f'it has {labels.shape[-1]} channels; a class map has one'
            return frozenset(), [Fault('unreadable-annotation', path, text)]
        faults = []
        if labels.shape != info['img'].shape[:2]:
            text = f'image {_size(info["img"].shape)}, annotation {_size(labels.shape)}'
            faults.append(Fault('size-mismatch', path, f'{text}{_turned(_path(info.get("img_path")))}'))
        if 'seg_fields' not in info:  # a panoptic map's values are no classes
            return frozenset(), faults
        with contextlib.suppress(Exception), Image.open(path) as image:
            if image.format == 'JPEG':
                text = 'a JPEG, whose compression changes class numbers at borders; save it as PNG'
                faults.append(Fault('unreadable-annotation', path, text))
            if image.mode[0] in 'IF' and np.max(image) > 255:  # the loader makes bytes of it
                text = f'value {np.max(image):g}, of which the loader keeps 8 bits'
                faults.append(Fault('class-id-range', path, text))
        return frozenset(np.unique(labels).tolist()), faults


def _path(value: Any) -> str:
    return value if isinstance(value, str) else ''


def _size(shape: Sequence[Any]) -> str:
    return f'{shape[1]}x{shape[0]}'


def _turned(path: str) -> str:
    """A hint, if the header of an image says that it lies on its side."""
    with contextlib.suppress(Exception), Image.open(path) as image:
        if image.getexif().get(_ORIENTATION, 1) >= 5:
            return '; its EXIF header turns it'
    return ''


def _image_faults(path: str, info: dict) -> Iterator[Fault]:
    image = np.asarray(info['img'])
    if min(image.shape[:2]) < SMALLEST_SIDE:
        yield Fault('tiny-image', path, f'{_size(image.shape)} pixels')
    if image.dtype.kind == 'f' and not np.isfinite(image).all():
        yield Fault('unreadable-image', path, 'it has values that are no finite numbers')
    if path and Path(path).is_file():
        error = _decoding_error(path)
        if error:
            yield Fault('unreadable-image', path, error)
    declared = info.get('height'), info.get('width')
    if 'instances' in info and None not in declared and declared != image.shape[:2]:
        text = f'it loads as {_size(image.shape)}, the annotation says {_size(declared)}'
        yield Fault('size-mismatch', path, f'{text}{_turned(path)}')
    elif 'instances' in info:
        for instance in info['instances']:
            problem = box_problem(instance['bbox'], image.shape[1], image.shape[0])
            if problem and not instance.get('ignore_flag'):
                yield Fault('bad-box', path, problem)


def _decoding_error(path: str) -> str:
    """What OpenCV passes over: a file that is cut off comes out grey from there on."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # odd metadata, which no loader uses
        try:
            with Image.open(path) as image:
                if image.format == 'GIF':
                    return 'it is a GIF, which not every OpenCV reads'
                if image.format == 'JPEG':
                    image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))  # reads all, draws less
                if image.format in ('JPEG', 'PNG', 'BMP', 'WEBP'):
                    image.load()
        except Image.UnidentifiedImageError:
            return ''  # a format that the config's own loader knows
        except Exception as error:
            return str(error) or type(error).__name__
    return ''


def box_problem(box: Any, width: float, height: float) -> str:
    """What is wrong with a box (x1, y1, x2, y2) of an image, in pixels; empty if nothing is."""
    if len(box) != 4:  # a rotated box, or another kind
        return ''
    x1, y1, x2, y2 = box
    shown = [round(float(value), 1) for value in box]
    if not all(map(math.isfinite, box)) or x2 <= x1 or y2 <= y1:
        return f'[x1, y1, x2, y2] = {shown} has no area'
    outside = max(-x1, -y1, x2 - width, y2 - height)
    if outside > BOX_TOLERANCE:
        return f'[x1, y1, x2, y2] = {shown} ends {outside:.1f} pixels outside an image of {width:g}x{height:g}'
    return ''
