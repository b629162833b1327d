"""Small made inputs for pose estimators: an annotated image goes through the config's own pipeline."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, TRANSFORMS

from mmsepvit.config_tree import built_class, nodes
from mmsepvit.configs.swap.classes import is_a

_BATCH = 2
_PEOPLE = 3  # in an image of a bottom-up method
_SIZE = (320, 256)  # height and width
# They fetch further images from the data set, or want a package that is not there.
_LEFT_OUT = ('mmcv.LoadImageFromFile', 'mmpose.MixImageTransform', 'mmpose.Albumentation')
# What a data set adds to each sample from what it knows of the skeleton.
_SKELETON = (
    'dataset_name',
    'upper_body_ids',
    'lower_body_ids',
    'flip_pairs',
    'dataset_keypoint_weights',
    'flip_indices',
    'skeleton_links',
)


def pose_batch(config: Config, training: bool, rng: np.random.Generator) -> dict[str, Any]:
    """Makes a batch as the dataloader of a pose config would.

    Args:
        config: The config.
        training: Whether it is for training, or for testing.
        rng: Source of the images and key points.
    """
    dataset = (config.train_dataloader if training else config.val_dataloader).dataset
    pipeline = _pipeline(dataset)
    skeleton = _skeleton(dataset)
    is_bottom_up = _is_bottom_up(dataset)
    count = 1 if is_bottom_up and not training else _BATCH  # bottom-up methods are tested image by image
    samples = []
    for index in range(count):
        sample = _annotated(rng, skeleton, index, is_bottom_up)
        if is_a(dataset, 'mmpose.InterHand3DDataset', registry=DATASETS):
            sample.update(_hand_in_space(sample['keypoints']))
        samples.append(Compose(pipeline)(sample))
    return {
        'inputs': [sample['inputs'] for sample in samples],
        'data_samples': [sample['data_samples'] for sample in samples],
    }


def _pipeline(dataset: dict) -> list[dict]:
    """Steps of a dataset, or of the datasets that it holds, without those that need files."""
    steps: list[dict] = []
    for node in [*list(nodes(dataset.get('datasets') or []))[:1], dataset]:
        steps += copy.deepcopy(node.get('pipeline') or [])
    return [step for step in steps if not is_a(step, *_LEFT_OUT, registry=TRANSFORMS)]


def _is_bottom_up(dataset: dict) -> bool:
    return any(node.get('data_mode') == 'bottomup' for node in nodes(dataset))


def _skeleton(dataset: dict) -> dict[str, Any]:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    for node in nodes(dataset):
        described = node.get('metainfo') or getattr(built_class(node, None, DATASETS), 'METAINFO', None)
        if described:
            return parse_pose_metainfo(copy.deepcopy(dict(described)))
    # One whose skeleton depends on its arguments knows it once it is built, for which it need not read its files.
    return DATASETS.build({**copy.deepcopy(dataset), 'pipeline': [], 'lazy_init': True}).metainfo


def _annotated(rng: np.random.Generator, skeleton: dict[str, Any], index: int, is_bottom_up: bool) -> dict[str, Any]:
    """An image with people, as a dataset hands it to its pipeline."""
    height, width = _SIZE
    people, joints = _PEOPLE if is_bottom_up else 1, skeleton['num_keypoints']
    box = np.array([[32, 32, width - 32, height - 32]], dtype=np.float32).repeat(people, axis=0)
    keypoints = rng.uniform((40, 40), (width - 40, height - 40), (people, joints, 2)).astype(np.float32)
    return {
        'img': rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        'img_path': '',
        'img_id': index,
        'img_shape': _SIZE,
        'ori_shape': _SIZE,
        'id': list(range(people)) if is_bottom_up else index,
        'bbox': box,
        'bbox_score': np.ones(people, dtype=np.float32),
        'keypoints': keypoints,
        'keypoints_visible': np.ones((people, joints), dtype=np.float32),
        'num_keypoints': joints,
        'area': np.full(people, height * width / 2, dtype=np.float32),
        'category_id': np.ones(people, dtype=int) if is_bottom_up else 1,
        'iscrowd': 0,
        'segmentation': None,
        'invalid_segs': [],
        'raw_ann_info': [{}] * people if is_bottom_up else {},
        **{key: copy.deepcopy(skeleton[key]) for key in _SKELETON if key in skeleton},
    }


def _hand_in_space(keypoints: np.ndarray) -> dict[str, Any]:
    """What the 3D data set of hands adds: depths, which hands there are, and the camera."""
    depth = np.zeros((*keypoints.shape[:2], 1), dtype=np.float32)
    return {
        'keypoints': np.concatenate([keypoints, depth], axis=2),
        'hand_type': np.array([[1, 0]], dtype=np.float32),
        'hand_type_valid': np.array([1], dtype=np.float32),
        'rel_root_depth': 0.0,
        'rel_root_valid': 0.0,
        'focal': np.array([100.0, 100.0], dtype=np.float32),
        'principal_pt': np.array([100.0, 100.0], dtype=np.float32),
    }
