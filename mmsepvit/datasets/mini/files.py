"""Image files with fixed settings, so that equal pixels give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save_jpeg(image: np.ndarray, path: Path) -> None:
    """Write a uint8 RGB image of shape (H, W, 3)."""
    Image.fromarray(image).save(path, format='JPEG', quality=90)
