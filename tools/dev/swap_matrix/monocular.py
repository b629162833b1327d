"""Small made inputs for detectors of 3D boxes in single images: what mmdet3d's preprocessor takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmsepvit.config_tree import nodes

_BATCH = 2
_FOCAL = 100.0  # in pixels


def monocular_batch(model: dict, side: int, rng: np.random.Generator) -> dict[str, Any]:
    """Makes a batch of square images, each with two boxes in front of the camera.

    Args:
        model: Config of the detector.
        side: Side of the images in pixels.
        rng: Source of pictures and labels.
    """
    head = next(nodes(model['bbox_head']))
    samples = [_sample(head, index, side, rng) for index in range(_BATCH)]
    pictures = rng.integers(0, 256, (_BATCH, 3, side, side), dtype=np.uint8)
    return {'inputs': {'img': [torch.from_numpy(picture) for picture in pictures]}, 'data_samples': samples}


def _sample(head: dict, index: int, side: int, rng: np.random.Generator) -> Any:
    from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
    from mmengine.structures import InstanceData

    centers = torch.tensor([[side * 0.3, side * 0.5], [side * 0.7, side * 0.5]])
    depths = torch.tensor([8.0, 12.0])
    x, y = ((centers - side / 2) * depths[:, None] / _FOCAL).T
    code_size = head.get('bbox_code_size', 9)  # nine with the velocity in two directions
    boxes = torch.cat([torch.stack([x, y, depths], 1), torch.rand(2, code_size - 3) + 1], 1)
    labels = torch.from_numpy(rng.integers(0, head['num_classes'], 2))
    camera = [[_FOCAL, 0.0, side / 2, 0.0], [0.0, _FOCAL, side / 2, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    size = (side, side)
    sample = Det3DDataSample(
        metainfo={
            'sample_idx': index,
            'img_shape': size,
            'ori_shape': size,
            'pad_shape': size,
            'batch_input_shape': size,
            'scale_factor': (1.0, 1.0),
            'cam2img': camera,
            'box_type_3d': CameraInstance3DBoxes,
        }
    )
    half = side / 8
    sample.gt_instances = InstanceData(bboxes=torch.cat([centers - half, centers + half], 1), labels=labels)
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=CameraInstance3DBoxes(boxes, box_dim=code_size, origin=(0.5, 0.5, 0.5)),
        labels_3d=labels,
        centers_2d=centers,
        depths=depths,
        attr_labels=torch.zeros(2, dtype=torch.long),
    )
    return sample
