"""Generated scenes in the layouts of ADE20K, COCO, ImageNet, Cityscapes and VOC, for trying everything at once."""

from __future__ import annotations

from .data import Counts, ensure_mini_data, write_mini_data

__all__ = ['Counts', 'ensure_mini_data', 'write_mini_data']
