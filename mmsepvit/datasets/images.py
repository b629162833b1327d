"""One image file outside of any data set: read, resized, and as the backbone of a config gets it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from ..errors import UserError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
"""Of files that are images, in small letters."""


def images_in(folder: str | Path) -> list[Path]:
    """Images in a folder and those in it, in the order of their paths."""
    return sorted(file for file in Path(folder).rglob('*') if file.suffix.lower() in IMAGE_SUFFIXES)


def read_image(path: str, size: int | None = None) -> np.ndarray:
    """Reads an image as the packages do: turned as its EXIF says, in 8 bits, without alpha.

    Args:
        path: Path of the file.
        size: Its longer side in pixels, as resized. Defaults to None: as it is.

    Returns:
        The image, uint8 (H, W, 3), red, green and blue.

    Raises:
        UserError: The file is missing, or no image that can be read.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"image '{path}' is missing or cannot be read as an image.")
    if size is not None:
        scale = size / max(image.shape[:2])
        shape = [max(round(side * scale), 1) for side in image.shape[1::-1]]
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def normalised(image: np.ndarray, config: Config) -> Tensor:
    """An image as the preprocessor of a config hands it to the backbone, without resizing or padding.

    Args:
        image: Image (H, W, 3), red, green and blue.
        config: Config with a ``data_preprocessor``, in the model or on top.

    Returns:
        The image, float32 (3, H, W).
    """
    settings: Mapping[str, Any] = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    is_rgb = settings.get('bgr_to_rgb') or settings.get('to_rgb')
    values = np.ascontiguousarray(image if is_rgb else image[..., ::-1], dtype=np.float32)
    values = (values - np.float32(settings.get('mean', 0))) / np.float32(settings.get('std', 1))
    return torch.from_numpy(values).permute(2, 0, 1)
