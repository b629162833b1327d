"""Small made inputs of the right kind for a model: what its data preprocessor takes from a dataloader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmsepvit.config_tree import nodes
from mmsepvit.configs.swap.classes import is_a, package_of, type_name
from mmsepvit.configs.swap.preprocessor import image_channels

from .monocular import monocular_batch

BATCH = 2
_DENSE_QUERIES = ('DINO', 'DDQDETR', 'DeformableDETR')
_VIDEO = ('QDTrack', 'MaskTrackRCNN', 'Mask2FormerVideo')
_TRACKERS = (*_VIDEO, 'DeepSORT', 'StrongSORT', 'SORT', 'ByteTrack', 'OCSORT')
# Pyramids that go on past stride 64, or join maps by pooling, want a map to pool.
_DEEP_NECKS = ('SSDNeck', 'NASFPN', 'FPG', 'NASFCOS_FPN', 'RFP')

# Their deformable 3x3 convolutions want a map of 3x3 at least at stride 128.
_DEFORMABLE_HEADS = (
    'DDODHead',
    'VFNetHead',
    'RepPointsHead',
    'GARetinaHead',
    'GARPNHead',
    'NASFCOSHead',
    'NASFCOS_FPN',
    'DyHead',
    'CascadeRPNHead',
    'StageCascadeRPNHead',
)


def _parts(model: dict) -> Iterator[dict]:
    return nodes(model, skip=('data_preprocessor',))


def _values(model: dict, key: str) -> list[int]:
    return [n[key] for n in _parts(model) if isinstance(n.get(key), int) and not isinstance(n.get(key), bool)]


def image_side(model: dict) -> int:
    """Side of the images in pixels: 128, more where a model needs large or many maps, or takes one size alone."""
    names = {type_name(n) for n in _parts(model)}
    if type_name(model) == 'ImageClassifier' and 'SepViT' not in names:
        return 224  # many other backbones run at the size that they train at alone
    if 'SSDNeck' in names:
        return 320
    if names & set(_DEFORMABLE_HEADS) or any(n.get('dcn_on_last_conv') or n.get('with_deform') for n in _parts(model)):
        return 384
    two_stage = any(n.get('as_two_stage') for n in _parts(model))
    if names & set(_DEEP_NECKS) or (
        names & set(_DENSE_QUERIES) and (two_stage or 'DINO' in names or 'DDQDETR' in names)
    ):
        return 256
    return 128


def _picture(rng: np.random.Generator, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.from_numpy(rng.integers(0, 256, (channels, height, width), dtype=np.uint8))


def _pictures(rng: np.random.Generator, model: dict, side: int) -> list[Tensor]:
    """A batch of square pictures with the channels that the model wants."""
    # The Runner's own, which the trial puts into the model, may have no type to be found by.
    channels = image_channels({'model': model, 'data_preprocessor': model.get('data_preprocessor')}, {})
    return [_picture(rng, side, side, channels) for _ in range(BATCH)]


def _boxes(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Boxes (count, 4) of an eighth to a half of the image."""
    w, h = rng.uniform(width / 8, width / 2, count), rng.uniform(height / 8, height / 2, count)
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)


def _instances(rng: np.random.Generator, boxes: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> InstanceData:
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    rows, columns = np.mgrid[: size[0], : size[1]]
    masks = [
        ((columns - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((rows - (y0 + y1) / 2) / (y1 - y0)) ** 2 <= 0.25
        for x0, y0, x1, y1 in boxes
    ]
    data = InstanceData()
    data.bboxes = HorizontalBoxes(torch.from_numpy(boxes))
    data.labels = torch.from_numpy(labels).long()
    data.masks = BitmapMasks(np.array(masks, dtype=np.uint8).reshape(-1, *size), *size)
    data.instances_ids = torch.arange(len(labels)) + 100
    return data


def _meta(index: int, size: tuple[int, int]) -> dict[str, Any]:
    return {
        'img_id': index,
        'img_path': '',
        'img_shape': size,
        'ori_shape': size,
        'pad_shape': size,
        'batch_input_shape': size,
        'scale_factor': (1.0, 1.0),
        'flip': False,
        'flip_direction': None,
        'border': np.array([0, size[0], 0, size[1]], dtype=np.float32),  # read by CenterNet's and CornerNet's tests
        'frame_id': 0,
        'ori_video_length': 1,
        'homography_matrix': np.eye(3, dtype=np.float32),
    }


def _detection_sample(rng: np.random.Generator, model: dict, index: int, size: tuple[int, int]) -> Any:
    from mmdet.structures import DetDataSample

    things = _values(model, 'num_things_classes')
    stuff = _values(model, 'num_stuff_classes')
    classes = min(_values(model, 'num_classes') or [80])
    if things:
        classes = min(classes, *things)
    count = 3
    boxes = _boxes(rng, count, *size)
    sample = DetDataSample(metainfo=_meta(index, size))
    sample.gt_instances = _instances(rng, boxes, rng.integers(0, classes, count), size)
    sample.ignored_instances = _instances(rng, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), size)
    if not any('mask' in key for n in _parts(model) for key in n):
        del sample.gt_instances.masks, sample.ignored_instances.masks
    if not any('rpn_head' in n for n in _parts(model)):  # Fast R-CNN reads them from files
        sample.proposals = InstanceData(
            bboxes=torch.from_numpy(np.concatenate([boxes, _boxes(rng, 40, *size)])), scores=torch.rand(count + 40)
        )
    semantic = any('semantic_head' in n for n in _parts(model))
    if (stuff and max(stuff) > 0) or semantic:
        first = things[0] if things else 0
        top = first + max(stuff) if stuff else min(_values(model, 'num_classes'))
        values = rng.integers(first, max(top, first + 1), (4, 4))
        large = np.kron(values, np.ones((size[0] // 4, size[1] // 4), dtype=np.int64))
        sample.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(large)[None])
    return sample


def _detection(model: dict, side: int, rng: np.random.Generator, batch: int = BATCH) -> dict[str, Any]:
    size = (side, side)
    return {
        'inputs': [_picture(rng, *size) for _ in range(batch)],
        'data_samples': [_detection_sample(rng, model, i, size) for i in range(batch)],
    }


def _clip(model: dict, side: int, rng: np.random.Generator, frames: int) -> dict[str, Any]:
    """One video: a clip (T, C, H, W), and samples whose objects keep their identity."""
    from mmdet.structures import TrackDataSample

    size = (side, side)
    samples = [_detection_sample(rng, model, i, size) for i in range(frames)]
    for i, sample in enumerate(samples):
        sample.set_metainfo({'frame_id': i, 'ori_video_length': frames, 'is_video_data': True, 'img_id': i})
        if i:
            sample.gt_instances = samples[0].gt_instances.clone()
    for sample in samples:  # clips are packed as plain tensors
        for instances in (sample.gt_instances, sample.ignored_instances):
            instances.bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
    track = TrackDataSample(video_data_samples=samples)
    if frames > 1:
        track.set_metainfo({'key_frames_inds': [0], 'ref_frames_inds': list(range(1, frames))})
    return {'inputs': [torch.stack([_picture(rng, *size) for _ in range(frames)])], 'data_samples': [track]}


def _semi_supervised(model: dict, side: int, rng: np.random.Generator) -> dict[str, Any]:
    """Labelled images, and a weak and a strong view of unlabelled ones."""
    detector = model['detector']
    branches = {name: _detection(detector, side, rng) for name in ('sup', 'unsup_teacher', 'unsup_student')}
    return {
        'inputs': {name: data['inputs'] for name, data in branches.items()},
        'data_samples': {name: data['data_samples'] for name, data in branches.items()},
    }


def _reid(model: dict, rng: np.random.Generator, training: bool) -> dict[str, Any]:
    """Crops of people, two of each of two: in training all of them are one sample."""
    from mmdet.structures import ReIDDataSample

    people = np.array([0, 0, 1, 1])
    meta = {'img_shape': (256, 128), 'ori_shape': (256, 128)}
    crops = [_picture(rng, 256, 128) for _ in people]
    if training:
        sample = ReIDDataSample(metainfo=meta)
        sample.set_gt_label(people)
        return {'inputs': [torch.stack(crops)], 'data_samples': [sample]}
    samples = [ReIDDataSample(metainfo=meta) for _ in people]
    for sample, person in zip(samples, people):
        sample.set_gt_label(int(person))
    return {'inputs': crops, 'data_samples': samples}


def _segmentation(model: dict, side: int, rng: np.random.Generator) -> dict[str, Any]:
    from mmseg.structures import SegDataSample

    classes = min(_values(model, 'num_classes') or [19])
    samples = []
    for i in range(BATCH):
        sample = SegDataSample(metainfo={**_meta(i, (side, side)), 'padding_size': [0, 0, 0, 0]})
        labels = np.kron(rng.integers(0, classes, (8, 8)), np.ones((side // 8, side // 8), dtype=np.int64))
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
        samples.append(sample)
    return {'inputs': _pictures(rng, model, side), 'data_samples': samples}


def _classification(model: dict, side: int, rng: np.random.Generator) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    classes = min(_values(model, 'num_classes') or [1000])
    multi_label = 'CSRAClsHead' in {type_name(n) for n in _parts(model)} or any(
        type_name(n).startswith('MultiLabel') for n in _parts(model)
    )
    samples = []
    for i in range(BATCH):
        sample = DataSample(metainfo={'img_shape': (side, side), 'ori_shape': (side, side), 'num_classes': classes})
        label = int(rng.integers(0, classes))
        sample.set_gt_label([label] if multi_label else label)
        sample.sample_idx = i
        samples.append(sample)
    return {'inputs': _pictures(rng, model, side), 'data_samples': samples}


def _self_supervised(model: dict, side: int, rng: np.random.Generator, batch: int = 2 * BATCH) -> dict[str, Any]:
    """Views of the same images, (B, C, H, W) each, of two sizes where the head compares several crops."""
    from mmpretrain.structures import DataSample

    crops = next((n['num_crops'] for n in _parts(model) if 'num_crops' in n), [2])
    sides = [side, side // 2]
    views = [
        torch.stack([_picture(rng, s, s) for _ in range(batch)]).float()
        for s, count in zip(sides, crops)
        for _ in range(count)
    ]
    return {'inputs': views, 'data_samples': [DataSample() for _ in range(batch)]}


def kind_of(model: dict) -> str:
    """What kind of inputs a model takes."""
    if is_a(model, *(f'mmdet.{name}' for name in _VIDEO)):
        return 'clip'
    if is_a(model, *(f'mmdet.{name}' for name in _TRACKERS)):
        return 'tracker'
    if is_a(model, 'mmdet.BaseReID'):
        return 'reid'
    if is_a(model, 'mmdet.SemiBaseDetector'):
        return 'semi_supervised'
    if is_a(model, 'mmpretrain.BaseSelfSupervisor'):
        return 'self_supervised'
    if is_a(model, 'mmdet3d.SingleStageMono3DDetector'):
        return 'monocular'
    kinds = {'mmseg': 'segmentation', 'mmpretrain': 'classification', 'mmpose': 'pose'}
    return kinds.get(package_of(model) or '', 'detection')


def make_batch(model: dict, training: bool, seed: int = 0) -> dict[str, Any]:
    """Makes a batch as a dataloader would hand it to the model's data preprocessor.

    Args:
        model: Config of the model.
        training: Whether it is for training, or for testing.
        seed: Seed of the pictures and labels. Defaults to 0.
    """
    rng = np.random.default_rng(seed)
    kind, side = kind_of(model), image_side(model)
    if kind == 'clip':
        return _clip(model, side, rng, frames=2 if training else 1)
    if kind == 'tracker':
        inner = model['detector']
        return _detection(inner, side, rng) if training else _clip(inner, side, rng, frames=1)
    if kind == 'reid':
        return _reid(model, rng, training)
    if kind == 'semi_supervised':
        return _semi_supervised(model, side, rng) if training else _detection(model['detector'], side, rng, batch=1)
    if kind == 'monocular':
        return monocular_batch(model, side, rng)
    makers = {
        'segmentation': _segmentation,
        'self_supervised': _self_supervised,
        'classification': _classification,
    }
    if kind == 'detection':  # tested image by image, on which guided anchoring relies
        return _detection(model, side, rng, batch=BATCH if training else 1)
    return makers[kind](model, side, rng)
