"""A detector that knows the objects and errs a little: its metrics are neither 0 nor 1. Imported by configs."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module(force=True)
class Oracle(BaseDetector):
    """Moves the boxes of every image by up to a fifth of their sizes, and takes one in ten for another class."""

    def __init__(self, data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, rescale: bool = True) -> list:
        for sample in batch_data_samples:
            draws = torch.Generator().manual_seed(int(sample.img_id))
            boxes, labels = sample.gt_instances.bboxes, sample.gt_instances.labels
            boxes = getattr(boxes, 'tensor', boxes).cpu()
            size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            moved = boxes + 0.4 * (torch.rand(boxes.shape, generator=draws) - 0.5) * size
            errs = torch.rand(len(labels), generator=draws) < 0.1
            found = torch.where(errs, (labels.cpu() + 1) % 80, labels.cpu())
            scores = torch.rand(len(labels), generator=draws)
            sample.pred_instances = InstanceData(bboxes=moved, labels=found, scores=scores)
        return batch_data_samples

    def loss(self, *_: Any) -> dict:
        raise NotImplementedError

    def _forward(self, *_: Any) -> tuple:
        raise NotImplementedError

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        return batch_inputs
