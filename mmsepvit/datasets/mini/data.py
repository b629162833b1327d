"""The folder of mini data: written once, whole or not at all, by one process at a time."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import UserError
from . import formats
from .classes import IMAGENET_CLASSES
from .scenes import draw_scene

GENERATOR_VERSION = 6
"""Raised whenever the same seed would give other scenes than before."""
MARKER = 'mini_data.json'
"""A file whose presence says that the folder is complete."""

# Held-out scenes have their own range of numbers: more training scenes leave them as they are.
_FIRST = {'train': 0, 'val': 1_000_000}
_SCENE_WRITERS = {
    'ade': formats.write_ade,
    'coco': formats.write_coco,
    'cityscapes': formats.write_cityscapes,
    'voc': formats.write_voc,
}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Counts:
    """How many pictures each data set holds.

    Attributes:
        train: Training scenes.
        val: Held-out scenes.
        class_train: Training pictures of each ImageNet class.
        class_val: Held-out pictures of each ImageNet class.
    """

    train: int = 240
    val: int = 40
    class_train: int = 80
    class_val: int = 20

    @property
    def total(self) -> int:
        """Number of pictures to draw."""
        return self.train + self.val + len(IMAGENET_CLASSES) * (self.class_train + self.class_val)


def read_marker(root: Path) -> dict | None:
    """What the marker of a complete mini data folder says, or None where there is none."""
    try:
        content = json.loads((root / MARKER).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_mini_data(
    root: str | Path, seed: int = 0, counts: Counts | None = None, progress: Progress | None = None
) -> Path:
    """Writes the mini data, in place of what this generator wrote there before.

    Args:
        root: Folder to make, such as ``data/mini``.
        seed: Seed of all scenes, not negative. Defaults to 0.
        counts: Numbers of pictures. Defaults to ``Counts()``.
        progress: Called with what is made, how many pictures are drawn and how many there will be.

    Returns:
        ``root`` as a path.

    Raises:
        UserError: ``root`` holds something else or cannot be written.
        ValueError: The seed is negative.
    """
    return _write(Path(root), seed, counts or Counts(), progress, keep=False)


def ensure_mini_data(
    root: str | Path = 'data/mini', seed: int = 0, counts: Counts | None = None, progress: Progress | None = None
) -> Path:
    """Writes the mini data unless this generator already wrote it with these settings.

    Args:
        root: See :func:`write_mini_data`. Defaults to 'data/mini' below the working directory.
        seed: See :func:`write_mini_data`.
        counts: See :func:`write_mini_data`.
        progress: See :func:`write_mini_data`.

    Returns:
        ``root`` as a path.

    Raises:
        UserError: See :func:`write_mini_data`.
    """
    root, counts = Path(root), counts or Counts()
    return root if _is_complete(root, seed, counts) else _write(root, seed, counts, progress, keep=True)


def _marker(seed: int, counts: Counts) -> dict:
    return {'generator_version': GENERATOR_VERSION, 'seed': seed, 'counts': asdict(counts)}


def _is_complete(root: Path, seed: int, counts: Counts) -> bool:
    """Whether it is all there; the number of files tells where some were removed since."""
    marker = read_marker(root)
    return marker is not None and marker == {**_marker(seed, counts), 'files': _count_files(root) - 1}


def _count_files(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root))


def _write(root: Path, seed: int, counts: Counts, progress: Progress | None, keep: bool) -> Path:
    if seed < 0:
        raise ValueError(f'seed must be 0 or more, got {seed}')
    made, old = (root.with_name(f'.{root.name}.{state}') for state in ('made', 'old'))
    try:
        with _locked(root):
            if keep and _is_complete(root, seed, counts):
                return root  # another process was faster
            if read_marker(root) is None and (root.is_file() or (root.is_dir() and any(root.iterdir()))):
                raise UserError(f'{root} exists and is no mini data folder: remove it or choose another one')
            try:
                for rest in (made, old):  # of a process that was killed
                    shutil.rmtree(rest, ignore_errors=True)
                made.mkdir()
                _fill(made, seed, counts, progress)
                if root.exists():
                    root.rename(old)
                made.rename(root)
            finally:
                for rest in (made, old):
                    shutil.rmtree(rest, ignore_errors=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f'cannot write the mini data to {root}: not below a folder') from None
    except OSError as error:
        raise UserError(f'cannot write the mini data to {root}: {error.strerror or error}') from error
    return root


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Lets one process at a time write the folder, by a lock on an empty file beside it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows, where nothing of this needs several processes
        yield
        return
    # Nothing is written to the file, and no link is followed to another one.
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(root.with_name(f'.{root.name}.lock'), flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fill(root: Path, seed: int, counts: Counts, progress: Progress | None) -> None:
    done = 0

    def drawn(what: str, index: int, focus: str | None = None) -> formats.Picture:
        nonlocal done
        picture = draw_scene(seed, index, focus)
        done += 1
        if progress is not None:
            progress(what, done, counts.total)
        return picture

    for split, scenes, each in (('train', counts.train, counts.class_train), ('val', counts.val, counts.class_val)):
        first = _FIRST[split]
        pictures = [drawn('scenes', first + i) for i in range(scenes)]
        for name, write in _SCENE_WRITERS.items():
            write(root / name, split, pictures)
        formats.write_imagenet(
            root / 'imagenet',
            split,
            (
                (wnid, drawn('objects', first + i, focus))
                for wnid, (focus, _) in IMAGENET_CLASSES.items()
                for i in range(each)
            ),
        )
    text = json.dumps({**_marker(seed, counts), 'files': _count_files(root)}, indent=2)
    (root / MARKER).write_text(text + '\n', encoding='utf-8')
