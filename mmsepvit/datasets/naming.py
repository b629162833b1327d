"""Which dataset, image and annotation an error is about.

The packages' messages seldom say it: ``cv2.error: ... !buf.empty()`` is all that one hears of an empty file.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from ..errors import UserError

_FILES = {
    'img_path': 'image',
    'seg_map_path': 'annotation',
    'xml_path': 'annotation',
    'ann_file': 'annotation file',
}


class DataError(UserError):
    """Data that cannot be loaded; the message names dataset class, image and annotation.

    Args:
        message: The message.
    """

    every_rank = False

    def __init__(self, message: str) -> None:
        # A DataLoader raises an exception of its workers anew, with the worker's traceback as the message; the
        # traceback ends with the first message.
        super().__init__(message.rpartition(f'{type(self).__module__}.{type(self).__qualname__}: ')[2])


def locate(dataset: Any, index: int) -> tuple[Any, int]:
    """The dataset inside any wrappers that a sample comes from, and the sample's index there."""
    while not isinstance(dataset, BaseDataset):
        original = getattr(dataset, '_get_ori_dataset_idx', None)
        inner = original(index) if original else index
        if isinstance(inner, tuple):  # of a ConcatDataset
            dataset, index = dataset.datasets[inner[0]], inner[1]
        elif hasattr(dataset, 'dataset'):
            dataset, index = dataset.dataset, inner
        else:
            break
    return dataset, index


def describe(dataset: Any, index: int | None = None, sample: Mapping[str, Any] | None = None) -> str:
    """A dataset's class and the files of one of its samples.

    Args:
        dataset: The dataset.
        index: Index of the sample. Defaults to none: only files of the dataset are named.
        sample: What is known of the sample. Defaults to what the dataset says about the index.
    """
    if sample is None and index is not None and hasattr(dataset, 'get_data_info'):
        try:
            sample = dataset.get_data_info(index)
        except Exception:  # the description of an error must not end in another one
            sample = None
    known = {'ann_file': getattr(dataset, 'ann_file', None), **(sample or {})}
    files = [f"{name} '{known[key]}'" for key, name in _FILES.items() if isinstance(known.get(key), str) and known[key]]
    place = [f'sample {index}'] if index is not None else []
    return ', '.join([type(dataset).__name__, *place, *files])


def explain(error: BaseException) -> str:
    """An error's transform, type, first line and place in the code, in one line."""
    transform, frames = '', list(traceback.walk_tb(error.__traceback__))
    for frame, _ in frames:
        if frame.f_code.co_name == '__call__' and 't' in frame.f_locals:  # of mmengine's Compose
            transform = f'{type(frame.f_locals["t"]).__name__}: '
    frame, line = frames[-1]
    lines = str(error).strip().splitlines()
    place = f'{"/".join(Path(frame.f_code.co_filename).parts[-3:])}:{line}'
    return f'{transform}{type(error).__name__}: {lines[0] if lines else "no message"} ({place})'


def blame(error: BaseException) -> tuple[BaseDataset, int | None] | None:
    """The dataset, and the sample's index in it, at work when an error came up; None if it was none's.

    The frames of the traceback know more than the index that was asked for: a dataset may go on to another sample,
    and a wrapper may mix several.
    """
    dataset, index = None, None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get('self')
        if isinstance(owner, BaseDataset):
            index = frame.f_locals.get('idx', index if owner is dataset else None)
            dataset = owner
    return None if dataset is None else (dataset, index)


@contextmanager
def named_errors() -> Iterator[None]:
    """Makes a :class:`DataError` of errors inside a dataset, such as those of its annotation file."""
    try:
        yield
    except Exception as error:
        found = None if isinstance(error, UserError) else blame(error)
        if found is None:
            raise
        raise DataError(f'{describe(*found)}: {explain(error)}') from error
