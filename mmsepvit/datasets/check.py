"""Reads every file of a config's data sets before a week of training does.

The config's own dataset classes say which files belong together; what is looked at is the files
themselves, because those classes skip, refill or ignore much of what is wrong with them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Callable

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import UserError

SPLITS = ('train', 'val', 'test')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')

FAULTS: dict[str, str] = {
    'missing-folder': 'folder does not exist',
    'no-images': 'no images found',
    'missing-file': 'file that is listed does not exist',
    'unreadable-image': 'image cannot be decoded to its end',
    'image-without-annotation': 'image has no annotation',
    'annotation-without-image': 'annotation has no image',
    'unreadable-annotation': 'annotation cannot be read',
    'class-id-range': 'class id out of range',
    'size-mismatch': 'size of image and annotation differ',
    'malformed-json': 'annotation file is no valid JSON of its format',
    'duplicate-id': 'id or name stands twice',
    'unknown-category': 'category that the data set does not have',
    'bad-box': 'box outside its image or without area',
    'bad-mask': 'mask that cannot be drawn',
    'empty-class-folder': 'class folder without images',
    'malformed-line': 'line that is not "file label"',
    'mixed-labels': 'one class folder with several labels',
    'dataset-class': 'the dataset class refuses it',
}
"""Kinds of faults, and what each means."""

# Annotators' boxes and polygons are drawn to parts of a pixel beyond the border.
_BOX_TOLERANCE = 1.0
_ORIENTATION = 0x0112
_CHUNK = 64


@dataclass(frozen=True)
class Fault:
    """Something wrong with a data set.

    Attributes:
        kind: A key of :data:`FAULTS`.
        where: The file or folder, or the entry of a file.
        what: What is wrong there, with figures.
    """

    kind: str
    where: str
    what: str = ''


@dataclass
class Report:
    """What was found in one data set.

    Attributes:
        splits: Splits of the config that use it.
        dataset: Name of its class.
        root: Its folder.
        counts: Name to figure, such as images, annotations and what the class makes of them.
        faults: All faults.
    """

    splits: list[str]
    dataset: str
    root: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, kind: str, where: object, what: str = '') -> None:
        """Adds a fault."""
        self.faults.append(Fault(kind, str(where), what))


Advance = Callable[[int, int], None]


def check_data(config: Config, workers: int | None = None, advance: Advance | None = None) -> list[Report]:
    """Checks the data sets of all splits.

    Args:
        config: A segmentation, detection or classification config.
        workers: Threads that decode images. Defaults to one a CPU.
        advance: Called with the number of files read and to read, as they come and go.

    Returns:
        A report for each different data set; splits with the same files share one.

    Raises:
        UserError: The config has no data sets, or some of a class that has no check.
    """
    reports: list[Report] = []
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    reader = _Reader(pool, advance)
    seen: dict[str, Report] = {}
    with pool, DefaultScope.overwrite_default_scope(config.default_scope):
        for split in SPLITS:
            loader = config.get(f'{split}_dataloader')
            for settings in _datasets(loader['dataset'] if loader else None):
                # The pipeline reads no other files, so it makes no other data set.
                settings = {**settings, 'pipeline': []}
                key = json.dumps(settings, sort_keys=True, default=str)
                if key in seen:
                    seen[key].splits.append(split)
                    continue
                seen[key] = _check(settings, split, config.default_scope, reader)
                reports.append(seen[key])
    if not reports:
        raise UserError('the config has no dataset in train_dataloader, val_dataloader, test_dataloader.')
    return reports


def _datasets(node: Any) -> Iterator[dict]:
    """Data sets inside any wrappers (RepeatDataset, ConcatDataset and the like)."""
    if not isinstance(node, dict):
        return
    inner = [node['dataset']] if 'dataset' in node else list(node.get('datasets', ()))
    if not inner:
        yield dict(node)
    for dataset in inner:
        yield from _datasets(dataset)


def _check(settings: dict, split: str, scope: str, reader: _Reader) -> Report:
    registry = import_module(f'{scope}.registry').DATASETS
    report = Report([split], str(settings['type']), str(settings.get('data_root') or '.'))
    with _quiet():
        # Not loaded: it only joins the paths and knows the classes.
        dataset = registry.build({**settings, 'lazy_init': True})
    for name, check in (
        ('mmseg.datasets.BaseSegDataset', _check_segmentation),
        ('mmdet.datasets.CocoDataset', _check_detection),
        ('mmpretrain.datasets.CustomDataset', _check_classification),
    ):
        package, _, cls = name.rpartition('.')
        if package.startswith(scope) and isinstance(dataset, getattr(import_module(package), cls)):
            check(dataset, report, reader)
            break
    else:
        raise UserError(
            f'{split}_dataloader: there is no check for {settings["type"]}; there are for '
            'BaseSegDataset, CocoDataset, CustomDataset and what derives from them.'
        )
    try:
        with _quiet():
            loaded = registry.build({**settings, 'lazy_init': False})
        report.counts['samples used'] = len(loaded)
    except Exception as error:  # whatever stops the class would stop the training
        first = str(error).strip().split('\n')[0]
        report.add('dataset-class', f'{report.dataset} in {report.root}', f'{type(error).__name__}: {first}')
    return report


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """pycocotools prints while it reads."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class _Reader:
    """Decodes images on threads.

    Args:
        pool: The threads.
        advance: See :func:`check_data`.
    """

    def __init__(self, pool: ThreadPoolExecutor, advance: Advance | None) -> None:
        self._pool = pool
        self._advance = advance
        self._done = 0
        self._total = 0

    def sizes(self, paths: Sequence[Path], report: Report) -> dict[Path, set[tuple[int, int]]]:
        """Reads images and reports the unreadable ones.

        Args:
            paths: The images, which exist.
            report: Where faults go.

        Returns:
            For each readable one its (width, height), and that of the image as a loader turns it
            that follows the orientation in its header.
        """
        found = {}
        for path, (size, error) in self.map(_decode, paths):
            if size:
                found[path] = size
            else:
                report.add('unreadable-image', path, error)
        return found

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple]:
        """Pairs of item and result, in the items' order."""

        def run(chunk: list[Any]) -> list[Any]:
            return [function(item) for item in chunk]

        self._total += len(items)
        # A bounded window: a million tasks at once would fill the memory.
        rest, window = iter(items), 4 * (self._pool._max_workers or 1)
        chunks = iter(lambda: list(islice(rest, _CHUNK)), [])
        waiting = [(chunk, self._pool.submit(run, chunk)) for chunk in islice(chunks, window)]
        while waiting:
            chunk, future = waiting.pop(0)
            results = future.result()
            waiting += [(more, self._pool.submit(run, more)) for more in islice(chunks, 1)]
            self._done += len(chunk)
            if self._advance is not None:
                self._advance(self._done, self._total)
            yield from zip(chunk, results)


def _decode(path: Path) -> tuple[set[tuple[int, int]], str]:
    """(sizes, '') of an image that decodes in full, (empty, why not) otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # odd metadata, which no loader uses
            with Image.open(path) as image:
                image.load()
                turned = image.getexif().get(_ORIENTATION, 1) >= 5
                return {image.size, image.size[::-1] if turned else image.size}, ''
    # Pillow raises SyntaxError, ValueError and others for different broken formats.
    except Exception as error:
        if path.exists() and path.stat().st_size == 0:
            return set(), 'the file is empty'
        return set(), str(error).replace(f' {str(path)!r}', '') or type(error).__name__


def _files(folder: Path) -> list[Path]:
    """Files below a folder, sorted; links are followed and hidden files left out."""
    return sorted(
        Path(parent) / name
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if not name.startswith('.')
    )


def _folder(path: str | Path, report: Report) -> Path | None:
    folder = Path(path)
    if folder.is_dir():
        return folder
    report.add('missing-folder', folder)
    return None


# --- segmentation -------------------------------------------------------------------------------


def _check_segmentation(dataset: Any, report: Report, reader: _Reader) -> None:
    images_in = _folder(dataset.data_prefix['img_path'], report)
    maps_in = _folder(dataset.data_prefix['seg_map_path'], report)
    if images_in is None or maps_in is None:
        return
    listed = _listed_names(dataset, images_in, report)
    maps = [path for path in _files(maps_in) if path.name.endswith(dataset.seg_map_suffix)]
    if listed is None:
        images = [path for path in _files(images_in) if path.name.endswith(dataset.img_suffix)]
    else:
        images = listed
    if not images:
        report.add('no-images', images_in, f'none ends with {dataset.img_suffix}')
    pairs = {}
    for image in images:
        name = str(image.relative_to(images_in))[: -len(dataset.img_suffix)]
        annotation = maps_in / (name + dataset.seg_map_suffix)
        if annotation.is_file():
            pairs[image] = annotation
        else:
            report.add('image-without-annotation', image, f'{annotation} does not exist')
    if listed is None:  # a list may leave out what is in the folder
        for annotation in sorted(set(maps) - set(pairs.values())):
            report.add('annotation-without-image', annotation)

    report.counts.update(images=len(images), annotations=len(maps))
    sizes = reader.sizes(images, report)
    classes = len(dataset.metainfo['classes'])
    # The file's ids: with reduce_zero_label 0 is nothing, and the classes begin at 1.
    allowed = np.zeros(256, dtype=bool)
    allowed[: classes + 1 if dataset.reduce_zero_label else classes] = True
    allowed[255] = True
    labelled = set()
    image_of = {annotation: image for image, annotation in pairs.items()}
    for annotation, (size, ids, error) in reader.map(_read_map, list(pairs.values())):
        if error:
            report.add('unreadable-annotation', annotation, error)
            continue
        wrong = [i for i in ids if i > 255 or not allowed[i]]
        if wrong:
            last = classes if dataset.reduce_zero_label else classes - 1
            text = f'{", ".join(map(str, wrong[:5]))}; allowed are 0 to {last} and 255'
            report.add('class-id-range', annotation, text)
        labelled.update(i for i in ids if i not in wrong)
        image = image_of[annotation]
        if image in sizes and size not in sizes[image]:
            report.add('size-mismatch', annotation, _sizes_text(sizes[image], size))
    ignored = {0, 255} if dataset.reduce_zero_label else {255}
    report.counts['classes seen'] = len(labelled - ignored)


def _listed_names(dataset: Any, images_in: Path, report: Report) -> list[Path] | None:
    """Images that a segmentation data set's list names, None where it has no list."""
    if not dataset.ann_file or Path(dataset.ann_file).is_dir():
        return None
    if not Path(dataset.ann_file).is_file():
        report.add('missing-file', dataset.ann_file)
        return []
    found = []
    for line in Path(dataset.ann_file).read_text().splitlines():
        path = images_in / (line.strip() + dataset.img_suffix)
        if path.is_file():
            found.append(path)
        else:
            report.add('missing-file', path, f'named in {dataset.ann_file}')
    return found


def _read_map(path: Path) -> tuple[tuple[int, int], list[int], str]:
    """((width, height), class ids, '') of a class map, or what is wrong with it at the end."""
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
            size = image.size
    except Exception as error:  # see _decode
        return (0, 0), [], str(error) or type(error).__name__
    if values.ndim != 2:
        return (0, 0), [], f'it has {values.shape[-1]} channels; a class map has one'
    return size, np.unique(values).tolist(), ''


def _sizes_text(image: set[tuple[int, int]], annotation: tuple[int, int]) -> str:
    width, height = min(image)
    return f'image {width}x{height}, annotation {annotation[0]}x{annotation[1]}'


# --- detection ----------------------------------------------------------------------------------


def _check_detection(dataset: Any, report: Report, reader: _Reader) -> None:
    images_in = _folder(dataset.data_prefix['img'], report)
    content = _read_coco(Path(dataset.ann_file), report)
    if images_in is None or content is None:
        return
    infos, boxes, categories = (content[key] for key in ('images', 'annotations', 'categories'))
    by_id = _unique(infos, 'image', dataset.ann_file, report)
    _unique(boxes, 'annotation', dataset.ann_file, report)
    names = {category['id']: category['name'] for category in categories}
    for name in dataset.metainfo['classes']:
        if name not in names.values():
            report.add('unknown-category', dataset.ann_file, f"class '{name}' is not in the file")

    paths = {}
    for info in by_id.values():
        path = images_in / info['file_name']
        if path.is_file():
            paths[path] = info
        else:
            report.add('missing-file', path, f'named in {dataset.ann_file}')
    if not infos:
        report.add('no-images', dataset.ann_file)
    for path in _files(images_in):
        if path.suffix.lower() in IMAGE_SUFFIXES and path not in paths:
            report.add('image-without-annotation', path, f'not in {dataset.ann_file}')
    for path, sizes in reader.sizes(list(paths), report).items():
        size = (paths[path]['width'], paths[path]['height'])
        if size not in sizes:
            report.add('size-mismatch', path, _sizes_text(sizes, size))

    for box in boxes:
        where = f'{dataset.ann_file}, annotation {box["id"]}'
        info = by_id.get(box['image_id'])
        if info is None:
            text = f'no image has id {box["image_id"]}'
            report.add('annotation-without-image', where, text)
            continue
        if box['category_id'] not in names:
            report.add('unknown-category', where, f'no category has id {box["category_id"]}')
        problem = _box_problem(box, info['width'], info['height'])
        if problem:
            report.add('bad-box', where, problem)
        problem = _mask_problem(box.get('segmentation'), info['width'], info['height'])
        if problem:
            report.add('bad-mask', where, problem)
    annotated = {box['image_id'] for box in boxes}
    report.counts.update(
        {
            'images': len(infos),
            'annotations': len(boxes),
            'classes seen': len({box['category_id'] for box in boxes} & set(names)),
            'images without objects': len(set(by_id) - annotated),
        }
    )


_COCO_KEYS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}


def _read_coco(path: Path, report: Report) -> dict[str, list[dict]] | None:
    """The parts of an annotation file that have what the dataset class reads, None without them."""
    if not path.is_file():
        report.add('missing-file', path)
        return None
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:  # both of JSON and of UTF-8
        report.add('malformed-json', path, str(error))
        return None
    result: dict[str, list[dict]] = {}
    for part, keys in _COCO_KEYS.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            report.add('malformed-json', path, f"there is no list '{part}'")
            return None
        result[part] = []
        for i, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                report.add('malformed-json', path, f'{part}[{i}] has no {", ".join(missing)}')
            else:
                result[part].append(entry)
    return result


def _unique(entries: Iterable[dict], name: str, path: str, report: Report) -> dict[int, dict]:
    by_id: dict[int, dict] = {}
    for entry in entries:
        if entry['id'] in by_id:
            report.add('duplicate-id', path, f'{name} {entry["id"]}')
        by_id[entry['id']] = entry
    return by_id


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)


def _box_problem(box: dict, width: float, height: float) -> str:
    bbox = box['bbox']
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))):
        return f'{bbox} is not [x, y, width, height]'
    x, y, w, h = bbox
    if w <= 0 or h <= 0:
        return f'{bbox} has no area'
    if not _is_number(box['area']) or box['area'] <= 0:
        return f'area {box["area"]} is not positive'
    outside = max(-x, -y, x + w - width, y + h - height)
    if outside > _BOX_TOLERANCE:
        return f'{bbox} ends {outside:.1f} pixels outside an image of {width}x{height}'
    return ''


def _mask_problem(mask: Any, width: int, height: int) -> str:
    if mask is None or mask == []:
        return ''  # boxes alone are allowed
    if isinstance(mask, dict):
        if list(mask.get('size', ())) != [height, width]:
            return f'run lengths of {mask.get("size")}, image is {[height, width]}'
        counts = mask.get('counts')
        if isinstance(counts, list) and sum(counts) != height * width:
            return f'run lengths of {sum(counts)} pixels, image has {height * width}'
        return '' if isinstance(counts, (list, str)) else 'run lengths without counts'
    if not isinstance(mask, list):
        return f'neither polygons nor run lengths: {type(mask).__name__}'
    for polygon in mask:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return 'a polygon needs three points of two numbers or more'
        if not all(map(_is_number, polygon)):
            return 'a polygon with something else than numbers'
    return ''


# --- classification -----------------------------------------------------------------------------


def _check_classification(dataset: Any, report: Report, reader: _Reader) -> None:
    images_in = _folder(dataset.img_prefix, report)
    if images_in is None:
        return
    suffixes = tuple(dataset.extensions)
    on_disk = [path for path in _files(images_in) if path.name.lower().endswith(suffixes)]
    if not on_disk:
        report.add('no-images', images_in, f'none ends with {", ".join(sorted(suffixes))}')
    folders = [Path(entry) for entry in sorted(os.scandir(images_in), key=lambda e: e.name)]
    folders = [folder for folder in folders if folder.is_dir() and not folder.name.startswith('.')]
    used = Counter(path.relative_to(images_in).parts[0] for path in on_disk)
    for folder in folders:
        if folder.name not in used:
            report.add('empty-class-folder', folder)

    classes = len(dataset.CLASSES) if dataset.CLASSES else None
    if dataset.ann_file:
        images, labels = _read_list(dataset, images_in, classes, report)
        for path in sorted(set(on_disk) - set(images)):
            report.add('image-without-annotation', path, f'not in {dataset.ann_file}')
    else:
        images = on_disk
        labels = {folder.name for folder in folders}
        for path in on_disk:
            if path.parent == images_in:
                report.add('image-without-annotation', path, 'it lies in no class folder')
    report.counts.update({'images': len(on_disk), 'annotations': len(images), 'classes seen': len(labels)})
    reader.sizes(images, report)


def _read_list(dataset: Any, images_in: Path, classes: int | None, report: Report) -> tuple[list[Path], set[int]]:
    """Existing images that a list names, and the labels it gives them."""
    path = Path(dataset.ann_file)
    if not path.is_file():
        report.add('missing-file', path)
        return [], set()
    images: dict[Path, int] = {}
    folder_labels: dict[Path, set[int]] = defaultdict(set)
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        where = f'{path}, line {number}'
        name, _, text = line.strip().rpartition(' ')
        if not name or not text.lstrip('-').isdigit():
            report.add('malformed-line', where, repr(line[:80]))
            continue
        image, label = images_in / name, int(text)
        if label < 0 or (classes is not None and label >= classes):
            last = '' if classes is None else f' to {classes - 1}'
            report.add('class-id-range', where, f'{label}; allowed are 0{last}')
        if not image.is_file():
            report.add('missing-file', image, f'named in {where}')
            continue
        if image in images:
            report.add('duplicate-id', where, name)
        images[image] = label
        if image.parent != images_in:
            folder_labels[image.parent].add(label)
    for folder, labels in sorted(folder_labels.items()):
        if len(labels) > 1:
            text = ', '.join(map(str, sorted(labels)[:5]))
            report.add('mixed-labels', folder, f'{text} in {path}')
    return list(images), set(images.values())


# --- report -------------------------------------------------------------------------------------


def print_reports(reports: Sequence[Report], console: Console, limit: int = 10) -> None:
    """Prints a table of counts, then the faults of each kind.

    Args:
        reports: The reports.
        console: Where to print.
        limit: Faults of a kind and data set to print in full; 0 prints all.
    """
    table = Table('', *(', '.join(report.splits) for report in reports))
    table.add_row('class', *(escape(report.dataset) for report in reports))
    table.add_row('root', *(escape(report.root) for report in reports))
    for name in dict.fromkeys(name for report in reports for name in report.counts):
        table.add_row(name, *(str(report.counts.get(name, '-')) for report in reports))
    table.add_row('faults', *(str(len(report.faults)) for report in reports))
    console.print(table)
    for report in reports:
        by_kind: dict[str, list[Fault]] = defaultdict(list)
        for fault in report.faults:
            by_kind[fault.kind].append(fault)
        for kind, faults in by_kind.items():
            splits = ', '.join(report.splits)
            console.print(f'{splits}: {kind}: {FAULTS[kind]} ({len(faults)})', style='bold')
            for fault in faults[: limit or None]:
                what = f': {fault.what}' if fault.what else ''
                console.print(f'  {fault.where}{what}', markup=False, highlight=False, soft_wrap=True)
            if limit and len(faults) > limit:
                console.print(f'  and {len(faults) - limit} more')
