"""Writes the three generated data sets, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from ...errors import UserError
from .ade import ADEWriter
from .classes import IMAGENET_FOCUS
from .coco import COCOWriter
from .imagenet import ImageNetWriter
from .render import render_scene
from .scene import sample_scene

#: Raised whenever the same seed would give other files than before.
GENERATOR_VERSION = 5
#: Its presence says that the folder is complete.
MARKER = 'mini_data.json'
# Held-out scenes have their own range of indices: more training scenes leave them as they are.
_VAL_START = 1_000_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Counts:
    """How many pictures each data set holds.

    Attributes:
        train: Training scenes of ADE20K and COCO, which show the same scenes.
        val: Held-out scenes of ADE20K and COCO.
        class_train: Training pictures of each ImageNet class.
        class_val: Held-out pictures of each ImageNet class.
    """

    train: int = 160
    val: int = 40
    class_train: int = 40
    class_val: int = 10

    @property
    def total(self) -> int:
        """Number of scenes to draw."""
        return self.train + self.val + len(IMAGENET_FOCUS) * (self.class_train + self.class_val)


def _marker(seed: int, counts: Counts) -> dict:
    return {'generator_version': GENERATOR_VERSION, 'seed': seed, 'counts': asdict(counts)}


def read_marker(root: Path) -> dict | None:
    """Return what the marker of a complete mini data folder says, or None where there is none."""
    try:
        content = json.loads((root / MARKER).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _is_complete(root: Path) -> bool:
    """Whether nothing was removed since: as many files as the counts say."""
    counts = Counts(**read_marker(root)['counts'])
    scenes = counts.train + counts.val
    pictures = 3 * scenes + len(IMAGENET_FOCUS) * (counts.class_train + counts.class_val)
    # Besides the pictures: two instance files, two lists of labels and the marker.
    return sum(len(files) for _, _, files in os.walk(root)) >= pictures + 5


def _write_all(root: Path, seed: int, counts: Counts, progress: Progress | None) -> None:
    done = 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(what, done, counts.total)

    for ade_split, coco_split, start, count in (
        ('training', 'train', 0, counts.train),
        ('validation', 'val', _VAL_START, counts.val),
    ):
        ade = ADEWriter(root / 'ade', ade_split)
        coco = COCOWriter(root / 'coco', coco_split)
        for index in range(start, start + count):
            scene = sample_scene(seed, index)
            rendered = render_scene(scene)
            ade.add(rendered)
            coco.add(scene, rendered)
            step('ADE20K and COCO')
        coco.close()
    for split, start, count in (
        ('train', 0, counts.class_train),
        ('val', _VAL_START, counts.class_val),
    ):
        imagenet = ImageNetWriter(root / 'imagenet', split)
        for wnid, (focus, _) in IMAGENET_FOCUS.items():
            for index in range(start, start + count):
                imagenet.add(render_scene(sample_scene(seed, index, focus)).image, wnid)
                step('ImageNet')
        imagenet.close()
    text = json.dumps(_marker(seed, counts), indent=2)
    (root / MARKER).write_text(text + '\n', encoding='utf-8')


def _process_runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A folder beside ``root`` that is removed afterwards, and those of killed runs with it."""
    prefix = f'.{root.name}.{socket.gethostname()}.'
    for old in root.parent.glob(f'{prefix}*.tmp'):
        pid = old.name[len(prefix) :].split('.')[0]
        if pid.isdigit() and (int(pid) == os.getpid() or not _process_runs(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp('.tmp', f'{prefix}{os.getpid()}.', root.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_mini_data(
    root: str | Path,
    seed: int = 0,
    counts: Counts | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the generated data in ADE20K's, COCO's and ImageNet's layouts.

    Everything is made in a temporary folder beside ``root`` and then renamed, so an interrupted run
    leaves nothing. An older mini data folder is replaced; a folder with other content is not.

    Args:
        root: Folder to make; ``ade``, ``coco`` and ``imagenet`` lie below it.
        seed: Seed of all scenes, not negative. The same seed gives the same bytes.
        counts: Numbers of pictures. Defaults to ``Counts()``.
        progress: Called after each picture with what is being made, how many pictures are done and
            how many there will be.

    Returns:
        ``root`` as a path.

    Raises:
        UserError: ``root`` holds something else or cannot be written.
        ValueError: The seed is negative.
    """
    root, counts = Path(root), counts or Counts()
    if seed < 0:
        raise ValueError(f'seed must be 0 or more, got {seed}')
    wanted, before = _marker(seed, counts), read_marker(root)
    try:
        if before is None and (root.is_file() or (root.is_dir() and any(root.iterdir()))):
            raise UserError(f'{root} exists and is no mini data folder: remove it or choose another one')
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UserError(f'cannot write the mini data to {root}: not below a folder') from error
        with _staging(root) as staging:
            made = staging / 'made'
            made.mkdir()
            _write_all(made, seed, counts, progress)
            if before != wanted and read_marker(root) == wanted:
                return root  # another process was faster
            if root.exists():
                root.rename(staging / 'old')
            made.rename(root)
    except OSError as error:
        if before != wanted and read_marker(root) == wanted:
            return root
        reason = error.strerror or str(error)
        raise UserError(f'cannot write the mini data to {root}: {reason}') from error
    return root


def ensure_mini_data(
    root: str | Path = 'data/mini',
    seed: int = 0,
    counts: Counts | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the mini data unless this generator already wrote it with these settings.

    Args:
        root: As in :func:`write_mini_data`. Defaults to 'data/mini' below the working directory.
        seed: As in :func:`write_mini_data`. Defaults to 0.
        counts: As in :func:`write_mini_data`.
        progress: As in :func:`write_mini_data`.

    Returns:
        ``root`` as a path.

    Raises:
        UserError: As in :func:`write_mini_data`.
    """
    root = Path(root)
    if read_marker(root) == _marker(seed, counts or Counts()) and _is_complete(root):
        return root
    return write_mini_data(root, seed, counts, progress)
