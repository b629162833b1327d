"""Writes scenes in ImageNet-1k's layout, as mmpretrain's ``ImageNet`` reads it.

``meta/train.txt`` and ``meta/val.txt`` hold real ImageNet-1k labels: without them mmpretrain would
insist on a thousand folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .classes import IMAGENET_FOCUS
from .files import save_jpeg


class ImageNetWriter:
    """Writes one split: ``root/train/<wnid>/*.JPEG`` or ``root/val/*.JPEG``, and its list.

    Args:
        root: Folder to write into; made if missing.
        split: 'train' or 'val'.
    """

    def __init__(self, root: Path, split: str) -> None:
        self._folder = root / split
        self._list = root / 'meta' / f'{split}.txt'
        self._folder.mkdir(parents=True, exist_ok=True)
        self._list.parent.mkdir(parents=True, exist_ok=True)
        self._split = split
        self._lines: list[str] = []

    def add(self, image: np.ndarray, wnid: str) -> None:
        """Write one picture of a class."""
        number = len(self._lines) + 1
        if self._split == 'train':
            name = f'{wnid}/{wnid}_{number}.JPEG'
            (self._folder / wnid).mkdir(exist_ok=True)
        else:
            name = f'ILSVRC2012_val_{number:08d}.JPEG'
        save_jpeg(image, self._folder / name)
        self._lines.append(f'{name} {IMAGENET_FOCUS[wnid][1]}')

    def close(self) -> None:
        """Write the list of pictures and labels."""
        self._list.write_text('\n'.join(self._lines) + '\n', encoding='utf-8')
