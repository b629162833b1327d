"""What a config says in two places: refused where the training would end, noted where it may be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mmsepvit.configs.agreement import check_agreement
from mmsepvit.configs.load import load_config
from mmsepvit.configs.preflight import check_parts, check_stack
from mmsepvit.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
UPERNET, MASK_RCNN, CLASSIFIER = 'upernet_sepvit_t_ade20k', 'mask_rcnn_sepvit_t_1x_coco', 'sepvit_t_imagenet'


@METRICS.register_module(force=True)
class OwnMetric(BaseMetric):
    """Reports what nobody else knows."""

    def process(self, data_batch: Any, data_samples: Any) -> None: ...

    def compute_metrics(self, results: list) -> dict:
        return {'beauty': 1.0}


def changed(name: str, **options: Any) -> Config:
    config = load_config(str(CONFIGS / f'{name}.py'))
    check_stack(config.default_scope)
    for key, value in options.items():
        *groups, last = key.split('__')
        node = config
        for group in groups:
            node = node[group]
        node[last] = value
    return config


@pytest.mark.parametrize('file', sorted(CONFIGS.glob('*.py')), ids=lambda file: file.stem)
def test_configs_of_the_repository_agree(file: Path) -> None:
    assert check_agreement(changed(file.stem)) == []


@pytest.mark.parametrize(
    ('name', 'save_best', 'evaluator'),
    [
        (MASK_RCNN, 'mIoU', None),
        (UPERNET, 'accuracy/top1', None),
        (UPERNET, 'mFscore', None),
        (UPERNET, ['mIoU', 'mDice'], None),
        (CLASSIFIER, 'accuracy/top3', None),
        (CLASSIFIER, 'top1', None),
        (MASK_RCNN, 'coco/bbox_mAP', {'type': 'CocoMetric', 'metric': 'segm'}),
        (MASK_RCNN, 'bbox_mAP', None),
        (CLASSIFIER, 'accuracy/top1', {'type': 'SingleLabelMetric'}),
    ],
)
def test_best_of_what_is_not_measured_is_refused(name: str, save_best: Any, evaluator: dict | None) -> None:
    config = changed(name, default_hooks__checkpoint__save_best=save_best)
    if evaluator:
        config.val_evaluator = evaluator
    with pytest.raises(UserError, match='save_best'):
        check_agreement(config)


@pytest.mark.parametrize(
    ('name', 'save_best', 'evaluator'),
    [
        (UPERNET, 'auto', None),
        (UPERNET, None, None),
        (UPERNET, 'aAcc', None),
        (UPERNET, 'mFscore', {'type': 'IoUMetric', 'iou_metrics': ['mIoU', 'mFscore']}),
        (UPERNET, 'ade/mIoU', {'type': 'mmseg.IoUMetric', 'prefix': 'ade'}),
        (UPERNET, 'beauty', {'type': OwnMetric}),
        (UPERNET, 'beauty', [{'type': 'IoUMetric'}, {'type': 'mmengine.OwnMetric'}]),
        (UPERNET, 'anything', {'type': 'NobodyKnows'}),  # its registry will tell
        (MASK_RCNN, ['coco/segm_mAP_50', 'coco/bbox_mAP_l'], None),
        (MASK_RCNN, 'coco/person_precision', {'type': 'CocoMetric', 'classwise': True}),
        (MASK_RCNN, 'coco/AR@100', {'type': 'CocoMetric', 'metric': 'proposal_fast'}),
        (CLASSIFIER, 'accuracy/top5', None),
        (CLASSIFIER, 'accuracy/top1_thr-0.50', {'type': 'Accuracy', 'thrs': (0.5, None)}),
        (CLASSIFIER, 'single-label/f1-score', {'type': 'SingleLabelMetric'}),
    ],
)
def test_best_of_what_is_or_may_be_measured_is_taken(name: str, save_best: Any, evaluator: Any) -> None:
    config = changed(name, default_hooks__checkpoint__save_best=save_best)
    if evaluator:
        config.val_evaluator = evaluator
    check_agreement(config)


def test_best_without_a_validation_is_nobodys_business() -> None:
    config = changed(UPERNET, default_hooks__checkpoint__save_best='nothing', val_cfg=None, val_evaluator=None)
    assert check_agreement(config) == []


def test_unknown_iou_is_told_before_the_validation() -> None:
    with pytest.raises(UserError, match="not 'IoU'"):
        check_agreement(changed(UPERNET, val_evaluator__iou_metrics=['IoU']))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'model__head__num_classes': 3, 'data_preprocessor__num_classes': 3}, 'val_evaluator.topk=(1, 5)'),
        ({'model__head__num_classes': 3, 'val_evaluator__topk': 1, 'test_evaluator__topk': 1}, 'num_classes=1000'),
        ({'data_preprocessor__num_classes': 10}, 'data_preprocessor.num_classes=10'),
        ({'model__head__topk': (1, 2000), 'model__head__cal_acc': True}, 'model.head.topk'),
    ],
)
def test_classifier_that_cannot_train(options: dict, words: str) -> None:
    with pytest.raises(UserError) as error:
        check_agreement(changed(CLASSIFIER, **options))
    assert words in str(error.value)


def test_labels_that_are_not_mixed_need_no_number_of_classes() -> None:
    config = changed(CLASSIFIER, data_preprocessor__num_classes=10, model__train_cfg=None)
    assert check_agreement(config) == []


@pytest.mark.parametrize(
    ('name', 'options', 'words'),
    [
        (UPERNET, {'model__decode_head__num_classes': 3}, '150 in train_dataloader.dataset (ADE20KDataset), 3 in'),
        (UPERNET, {'model__auxiliary_head__num_classes': 151}, '151 in model.auxiliary_head'),
        (UPERNET, {'train_dataloader__dataset__metainfo': {'classes': ('wall', 'sky')}}, '2 in train_dataloader'),
        (MASK_RCNN, {'model__roi_head__mask_head__num_classes': 3}, '3 in model.roi_head.mask_head'),
    ],
)
def test_numbers_of_classes_that_differ_are_noted(name: str, options: dict, words: str) -> None:
    (note,) = check_agreement(changed(name, **options))
    assert words in note


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        # Two classes in one channel, and a head that makes labels of its own.
        *(
            (
                UPERNET,
                {
                    'model__decode_head': {'num_classes': number, 'out_channels': 1, 'type': 'FCNHead'},
                    'model__auxiliary_head': None,
                    'train_dataloader__dataset__metainfo': {'classes': ('road', 'crack')[-number:]},
                },
            )
            for number in (1, 2)
        ),
        (UPERNET, {'model__auxiliary_head': [{'type': 'STDCHead', 'num_classes': 2}]}),
        (MASK_RCNN, {'train_dataloader__dataset__type': 'CocoPanopticDataset'}),
        (UPERNET, {'train_dataloader__dataset': {'type': 'BaseSegDataset'}}),
    ],
)
def test_numbers_of_classes_that_may_differ(name: str, options: dict) -> None:
    assert check_agreement(changed(name, **options)) == []


@pytest.mark.parametrize(
    ('needed', 'gone', 'words'),
    [
        ('train', ['train_dataloader', 'train_cfg', 'optim_wrapper'], 'to train'),
        ('train', ['optim_wrapper'], 'has no optim_wrapper'),
        ('train', ['val_evaluator'], 'has no val_evaluator'),
        ('test', ['test_dataloader', 'test_cfg', 'test_evaluator'], 'to test'),
        ('test', ['test_evaluator'], 'has no test_evaluator'),
    ],
)
def test_part_that_is_missing(needed: str, gone: list[str], words: str) -> None:
    with pytest.raises(UserError) as error:
        check_parts(changed(UPERNET, **dict.fromkeys(gone)), needed)
    assert words in str(error.value)
    assert 1 <= len(str(error.value).splitlines()) <= 3


def test_parts_that_are_not_needed() -> None:
    parts = [f'{split}_{part}' for split in ('val', 'test') for part in ('dataloader', 'cfg', 'evaluator')]
    check_parts(changed(UPERNET, **dict.fromkeys(parts)), 'train')
