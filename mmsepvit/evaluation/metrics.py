"""Metrics that the packages lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump

from ..registry import METRICS


@METRICS.register_module()
class DumpSegResults(BaseMetric):
    """Writes the predicted label maps of all images to a pickle file.

    mmengine's ``DumpResults`` would keep the scores of every class for every pixel: 600 MB for one
    ADE20K image of 1000 x 1000.

    Args:
        out_file_path: The file.
        collect_device: Where results of several processes meet, 'cpu' or 'gpu'. Defaults to 'cpu'.
    """

    def __init__(self, out_file_path: str, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps path, size and label map (H, W), in the smallest integer type, of each image."""
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            labels = labels.astype('uint8' if labels.max(initial=0) < 256 else 'int16')
            self.results.append(
                {
                    'img_path': sample['img_path'],
                    'ori_shape': tuple(sample['ori_shape']),
                    'pred_sem_seg': labels,
                }
            )

    def compute_metrics(self, results: list) -> dict:
        dump(results, self.out_file_path)
        return {}
