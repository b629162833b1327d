"""Writes scenes in ADE20K's layout, as mmsegmentation's ``ADE20KDataset`` reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .classes import CLASSES
from .files import save_jpeg
from .render import Rendered

_ADE_IDS = np.array([c.ade_id for c in CLASSES], dtype=np.uint8)
_PREFIXES = {'training': 'ADE_train', 'validation': 'ADE_val'}


def annotation(rendered: Rendered) -> np.ndarray:
    """Return ADE20K's class map: uint8 of shape (H, W), 1 to 150, and 0 for unlabelled."""
    return _ADE_IDS[rendered.classes]


class ADEWriter:
    """Writes one split below ``root/ADEChallengeData2016``.

    Args:
        root: Folder to write into; made if missing.
        split: 'training' or 'validation'.
    """

    def __init__(self, root: Path, split: str) -> None:
        base = root / 'ADEChallengeData2016'
        self._images = base / 'images' / split
        self._annotations = base / 'annotations' / split
        self._prefix = _PREFIXES[split]
        self._images.mkdir(parents=True, exist_ok=True)
        self._annotations.mkdir(parents=True, exist_ok=True)
        self._count = 0

    def add(self, rendered: Rendered) -> None:
        """Write one picture and its class map."""
        self._count += 1
        stem = f'{self._prefix}_{self._count:08d}'
        save_jpeg(rendered.image, self._images / f'{stem}.jpg')
        Image.fromarray(annotation(rendered)).save(self._annotations / f'{stem}.png')
