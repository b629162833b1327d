"""Files and folders: those that are not there, and those that nothing uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..images import IMAGE_SUFFIXES
from .faults import Fault

# A list that leaves out more than this part of a folder does so on purpose: it is a split of the folder, or a part.
_OVERSIGHT = 1 / 3


def is_remote(dataset: Any, path: str) -> bool:
    """Whether mmengine reads a path of a dataset from a store that is no file system."""
    return bool(getattr(dataset, 'backend_args', None)) or '://' in path or ':/' in path


def missing(dataset: Any, maps: bool) -> Iterator[Fault]:
    """Folders and annotation files of a dataset that do not exist.

    Args:
        dataset: The dataset.
        maps: Whether the config loads class maps; if not, their folder need not be there.
    """
    for key, folder in _folders(dataset).items():
        if folder and (maps or 'seg' not in key) and not is_remote(dataset, folder) and not Path(folder).is_dir():
            yield Fault('missing-folder', folder)
    file = getattr(dataset, 'ann_file', '')
    if isinstance(file, str) and file and not is_remote(dataset, file) and not Path(file).exists():
        yield Fault('missing-file', file)


def without_files(dataset: Any) -> Iterator[Fault]:
    """Folders of a dataset's images without any file in them."""
    folder = _image_folder(dataset)
    if folder and Path(folder).is_dir() and not any(_walk(folder)):
        yield Fault('no-images', folder)


def empty_class_folders(dataset: Any) -> Iterator[Fault]:
    """Folders of classes without any file in them."""
    folder = _image_folder(dataset)
    if not getattr(dataset, 'extensions', None) or not folder or not Path(folder).is_dir():
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith('.') and not any(_walk(entry.path)):
            yield Fault('empty-class-folder', entry.path)


def unused(dataset: Any, used: set[str], folders: set[str], maps: bool) -> Iterator[Fault]:
    """Images and annotations in a dataset's folders that no split of the config uses.

    Args:
        dataset: The dataset.
        used: Normal paths of the files that the splits use.
        folders: The folders that these are in.
        maps: Whether the config loads class maps.
    """
    if getattr(dataset, '_indices', None) is not None:  # a part of the data set, as asked for
        return
    ann_file = getattr(dataset, 'ann_file', '')
    listed = bool(ann_file) and Path(ann_file).is_file()
    map_folder = _folders(dataset).get('seg_map_path')
    suffix = getattr(dataset, 'seg_map_suffix', None)
    if maps and map_folder and suffix and not listed and Path(map_folder).is_dir():
        for path in _walk(map_folder):
            if path.endswith(suffix) and os.path.normpath(path) not in used:
                yield Fault('annotation-without-image', path)

    folder = _image_folder(dataset)
    # A list of mmseg's is a split of a folder, as VOC's are.
    if not folder or not Path(folder).is_dir() or (listed and suffix and hasattr(dataset, 'reduce_zero_label')):
        return
    in_classes = getattr(dataset, 'extensions', None)
    suffixes = tuple(in_classes or ()) or _img_suffixes(dataset) or IMAGE_SUFFIXES
    # Beside images that are used, and on top: a folder may hold other data sets too.
    beside = {*folders, os.path.normpath(folder)}
    sought = (*suffixes, *(IMAGE_SUFFIXES if in_classes and not listed else ()))
    paths = [os.path.normpath(path) for path in _walk(folder) if path.lower().endswith(sought)]
    images = [path for path in paths if path.rpartition('/')[0] in beside]
    rest = [path for path in images if path not in used]
    if listed and len(rest) > _OVERSIGHT * len(images):
        return
    for path in rest:
        if listed:
            why = f'not in {ann_file}'
        elif not path.endswith(suffixes) and not (in_classes and path.lower().endswith(suffixes)):
            why = f'the class reads files that end in {", ".join(sorted(suffixes))}'
        else:
            why = 'it lies in no class folder' if in_classes else 'the class does not find it'
        yield Fault('image-without-annotation', path, why)


def _img_suffixes(dataset: Any) -> tuple[str, ...]:
    """The endings of a dataset's images, where it knows them."""
    suffix = getattr(dataset, 'img_suffix', None) or ()
    return (suffix,) if isinstance(suffix, str) else tuple(suffix)


def _folders(dataset: Any) -> dict[str, str]:
    prefix = getattr(dataset, 'data_prefix', None) or {}
    return {key: path for key, path in prefix.items() if isinstance(path, str)}


def _image_folder(dataset: Any) -> str:
    folders = _folders(dataset)
    return folders.get('img_path') or folders.get('img') or ''


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder, sorted; links are followed and hidden files left out."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.startswith('.'):
                yield f'{parent}/{name}'
