"""`tools/train.py --backbone` on packages beyond the stack's three: a pose estimator and a rotated detector.

Neither package is a part of a stack; where one is installed, its test runs.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmsepvit.cli.train import main as train
from mmsepvit.configs.swap import SwapError, SwapRefused, load, swap

POSE = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192'
ROTATED = 'mmrotate::rotated_retinanet/rotated-retinanet-rbox-le90_r50_fpn_1x_dota'
SHORT = ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
SHORT += [
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'default_hooks.logger.interval=1',
]
SHORT += ['val_dataloader.persistent_workers=False']


def losses(work_dir: Path) -> list[float]:
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return [line['loss'] for line in map(json.loads, scalars.read_text().splitlines()) if 'loss' in line]


def write_people(root: Path, count: int = 4) -> None:
    """COCO's format: images with one person each, 17 key points."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    (root / 'images').mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(root / 'images' / f'{i}.png'), rng.integers(0, 256, (200, 160, 3), dtype=np.uint8))
        images.append({'id': i, 'file_name': f'{i}.png', 'width': 160, 'height': 200})
        joints = np.column_stack([rng.integers(20, 140, 17), rng.integers(20, 180, 17), np.full(17, 2)])
        annotations.append(
            {
                'id': i,
                'image_id': i,
                'category_id': 1,
                'iscrowd': 0,
                'bbox': [10, 10, 140, 180],
                'area': 25200,
                'num_keypoints': 17,
                'keypoints': joints.ravel().tolist(),
            }
        )
    content = {'info': {}, 'images': images, 'annotations': annotations}
    content['categories'] = [{'id': 1, 'name': 'person', 'keypoints': [str(i) for i in range(17)], 'skeleton': []}]
    (root / 'people.json').write_text(json.dumps(content))


def write_planes(root: Path, count: int = 4) -> None:
    """DOTA's format: a line of four corners, a class and a difficulty for each object."""
    rng = np.random.default_rng(0)
    (root / 'images').mkdir(parents=True)
    (root / 'labels').mkdir()
    for i in range(count):
        cv2.imwrite(str(root / 'images' / f'{i}.png'), rng.integers(0, 256, (128, 128, 3), dtype=np.uint8))
        corners = cv2.boxPoints(((64.0, 60.0), (50.0, 24.0), 20.0 * i))
        (root / 'labels' / f'{i}.txt').write_text(' '.join(f'{v:.1f}' for v in corners.ravel()) + ' plane 0\n')


def test_a_swapped_pose_estimator_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('mmpose')
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path / 'people')
    options = [*SHORT, 'train_cfg.val_interval=1', 'val_evaluator.ann_file=people/people.json']
    for split in ('train', 'val'):
        options += [f'{split}_dataloader.dataset.data_root=people', f'{split}_dataloader.dataset.ann_file=people.json']
        options += [f'{split}_dataloader.dataset.data_prefix.img=images']
    options += ['val_dataloader.dataset.bbox_file=None', 'test_dataloader=None', 'test_cfg=None', 'test_evaluator=None']
    train([POSE, '--backbone', 'sepvit-lite', '--work-dir', 'run', '--cfg-options', *options])
    assert len(losses(tmp_path / 'run')) == 2
    assert all(np.isfinite(losses(tmp_path / 'run')))
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


def test_a_pose_head_reads_the_whole_depth() -> None:
    """HRNet's map of stride 4 comes after all its layers; of a pyramid that is the first stage alone."""
    pytest.importorskip('mmpose')
    report = swap(POSE, 'tiny')
    assert report.config.model.backbone.out_indices == (0, 1, 2, 3)
    assert report.config.model.neck == {'type': 'FeatureMapProcessor', 'concat': True}
    assert report.config.model.head.in_channels == 96 + 192 + 384 + 768
    deep = swap('mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192', 'tiny')
    assert deep.config.model.backbone.out_indices == (3,)
    assert deep.config.model.head.in_channels == 768
    with pytest.raises(SwapRefused, match='stacked stages'):
        swap('mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb64-210e_coco-256x192')


def test_the_pose_neck_that_is_there_joins_the_stages() -> None:
    """ViTPose's simple head stands behind a FeatureMapProcessor of its own, which enlarges what it is given."""
    pytest.importorskip('mmpose')
    source = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192'
    model = swap(source, 'tiny').config.model
    assert model.neck == {**load(source).model.neck, 'concat': True}
    assert model.backbone.out_indices == (2, 3)
    assert model.head.in_channels == 384 + 768


@pytest.mark.parametrize(
    ('source', 'width'),
    [
        # a stack of one hourglass is a backbone like others
        ('td-hm_hourglass52_8xb32-210e_coco-256x256', 96 + 192 + 384 + 768),
        # the head of key points stands in that of their visibilities
        ('td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge', 768),
    ],
)
def test_a_pose_head_of_another_form(source: str, width: int) -> None:
    pytest.importorskip('mmpose')
    head = swap(f'mmpose::body_2d_keypoint/topdown_heatmap/coco/{source}', 'tiny').config.model.head
    assert head.get('pose_cfg', head).in_channels == width


def test_a_pose_estimator_keeps_its_recipe() -> None:
    pytest.importorskip('mmpose')
    config = load(POSE)
    config.optim_wrapper.optimizer = {'type': 'SGD', 'lr': 0.01}
    report = swap(config, 'lite')
    assert report.config.optim_wrapper == config.optim_wrapper
    assert any('published for pose' in note for note in report.notes)
    with pytest.raises(SwapError, match="recipe='keep'"):
        swap(config, 'lite', recipe='sepvit')


def test_groups_of_a_deconvolution_divide_its_input() -> None:
    pytest.importorskip('mmpose')
    head = swap(
        'mmpose::body_2d_keypoint/simcc/coco/simcc_vipnas-mbv3_8xb64-210e_coco-256x192', 'lite'
    ).config.model.head
    assert head.in_channels == 256
    assert head.deconv_num_groups == (32, 160, 160)


def test_stacked_hourglasses_are_refused() -> None:
    pytest.importorskip('mmpose')
    config = load('mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hourglass52_8xb32-210e_coco-256x256')
    config.model.backbone.num_stacks = 2
    with pytest.raises(SwapRefused, match='stacked stages'):
        swap(config)


def test_a_swapped_rotated_detector_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('mmrotate')
    monkeypatch.chdir(tmp_path)
    write_planes(tmp_path / 'planes')
    options = [*SHORT, 'val_dataloader=None', 'val_cfg=None', 'val_evaluator=None']
    options += ['test_dataloader=None', 'test_cfg=None', 'test_evaluator=None']
    options += ['train_dataloader.dataset.data_root=planes', 'train_dataloader.dataset.ann_file=labels/']
    options += ['train_dataloader.dataset.data_prefix.img_path=images/', 'train_dataloader.dataset.img_suffix=png']
    options += ['train_dataloader.dataset.pipeline.3.scale=(128,128)']
    train([ROTATED, '--backbone', 'sepvit-lite', '--work-dir', 'run', '--cfg-options', *options])
    assert len(losses(tmp_path / 'run')) == 2
    assert all(np.isfinite(losses(tmp_path / 'run')))
