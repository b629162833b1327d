"""Every config, after inheritance, field by field against the published recipes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from recipe_table import DENSE, ELSEWHERE, TABLE, named

CONFIGS = Path(__file__).parents[2] / 'configs'
ADAMW_BETAS = (0.9, 0.999)
IMAGE_MEAN, IMAGE_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SHORT_SIDES = [(s, 1333) for s in (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)]


@cache
def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def steps(pipeline: list[dict]) -> list[str]:
    return [step['type'] for step in pipeline]


def step(pipeline: list[dict], kind: str) -> dict:
    """The only step of that type, without its type."""
    (found,) = [s for s in pipeline if s['type'] == kind]
    return {key: value for key, value in found.items() if key != 'type'}


def plain(value: Any) -> Any:
    """Lists, tuples and ConfigDicts in one form, so that only values are compared."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def optimizer_defaults(name: str) -> tuple:
    """The betas as the optimizer will see them: AdamW's own where the config is silent."""
    return tuple(load(name).optim_wrapper.optimizer.get('betas', ADAMW_BETAS))


def test_the_table_and_the_folder_agree() -> None:
    assert {path.stem for path in CONFIGS.glob('*.py')} == TABLE.keys() | ELSEWHERE


@pytest.mark.parametrize('name', TABLE)
def test_leaf_is_self_contained_and_needs_no_network(name: str) -> None:
    texts = [(CONFIGS / f'{name}.py').read_text()]
    texts += [path.read_text() for path in (CONFIGS / '_base_').rglob('*.py')]
    for text in texts:
        assert 'http' not in text
        assert not any(f'{package}::' in text for package in ('mmseg', 'mmdet', 'mmpretrain'))
    assert 'Pretrained' not in load(name).pretty_text
    assert load(name).load_from is None
    assert load(name).resume is False


@pytest.mark.parametrize('name', named('_b_', 'coco') + named('lite'))
def test_unpublished_row_says_so(name: str) -> None:
    first = (CONFIGS / f'{name}.py').read_text().splitlines()[0]
    assert first.startswith('# The paper')


@pytest.mark.parametrize('name', TABLE)
def test_backbone(name: str) -> None:
    row, backbone = TABLE[name], load(name).model.backbone
    expected = {'type': 'mmsepvit.SepViT', 'arch': row.arch, 'drop_path_rate': row.drop_path}
    if name in DENSE:
        expected['window_token'] = 'zero'
    else:
        expected.update(window_token='learnable', single_window_psa=False, input_size=224, out_indices=[3])
    assert plain(backbone) == expected


@pytest.mark.parametrize('name', TABLE)
def test_optimizer(name: str) -> None:
    row, wrapper = TABLE[name], load(name).optim_wrapper
    optimizer = wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (
        'AdamW',
        row.lr,
        row.weight_decay,
    )
    assert optimizer_defaults(name) == ADAMW_BETAS
    assert set(optimizer) <= {'type', 'lr', 'weight_decay', 'betas', 'eps'}
    assert optimizer.get('eps', 1e-8) == 1e-8
    assert plain(wrapper.get('paramwise_cfg', {}).get('custom_keys')) == row.custom_keys
    assert set(wrapper.get('paramwise_cfg', {})) <= {'custom_keys'}
    assert plain(wrapper.get('clip_grad')) == (None if name in DENSE else {'max_norm': 1.0})
    if row.fp16:
        assert (wrapper.type, wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
        assert 'dtype' not in wrapper  # fp16 is mmengine's default
    else:
        assert wrapper.type == 'OptimWrapper'
        assert 'loss_scale' not in wrapper


@pytest.mark.parametrize('name', TABLE)
def test_batch_and_rate_scaling(name: str) -> None:
    cfg = load(name)
    per_gpu = 2 if name in DENSE else 128
    assert cfg.train_dataloader.batch_size == per_gpu
    assert plain(cfg.auto_scale_lr) == {'enable': False, 'base_batch_size': 8 * per_gpu}


def scheduler(name: str) -> list[dict]:
    return [plain(dict(item)) for item in load(name).param_scheduler]


@pytest.mark.parametrize('name', named('upernet'))
def test_schedule_upernet(name: str) -> None:
    assert scheduler(name) == [
        {'type': 'LinearLR', 'start_factor': 1e-6, 'by_epoch': False, 'begin': 0, 'end': 1500},
        {
            'type': 'PolyLR',
            'power': 1.0,
            'eta_min': 0.0,
            'by_epoch': False,
            'begin': 1500,
            'end': 160000,
        },
    ]
    expected = {'type': 'IterBasedTrainLoop', 'max_iters': 160000, 'val_interval': 16000}
    assert plain(load(name).train_cfg) == expected


@pytest.mark.parametrize('name', named('fpn_sepvit'))
def test_schedule_fpn(name: str) -> None:
    poly = {'type': 'PolyLR', 'power': 0.9, 'eta_min': 1e-6, 'by_epoch': False}
    assert scheduler(name) == [{**poly, 'begin': 0, 'end': 80000}]  # no warmup
    expected = {'type': 'IterBasedTrainLoop', 'max_iters': 80000, 'val_interval': 8000}
    assert plain(load(name).train_cfg) == expected


@pytest.mark.parametrize('name', named('coco'))
def test_schedule_coco(name: str) -> None:
    epochs, milestones = (12, [8, 11]) if '1x' in name else (36, [27, 33])
    assert scheduler(name) == [
        {'type': 'LinearLR', 'start_factor': 1e-3, 'by_epoch': False, 'begin': 0, 'end': 500},
        {
            'type': 'MultiStepLR',
            'milestones': milestones,
            'gamma': 0.1,
            'by_epoch': True,
            'begin': 0,
            'end': epochs,
        },
    ]
    expected = {'type': 'EpochBasedTrainLoop', 'max_epochs': epochs, 'val_interval': 1}
    assert plain(load(name).train_cfg) == expected


@pytest.mark.parametrize('name', named('imagenet'))
def test_schedule_imagenet(name: str) -> None:
    warmup, cosine = scheduler(name)
    epochs = TABLE[name].warmup_epochs
    assert warmup == {
        'type': 'LinearLR',
        'start_factor': pytest.approx(1e-6 / TABLE[name].lr),
        'by_epoch': True,
        'convert_to_iter_based': True,
        'begin': 0,
        'end': epochs,
    }
    assert cosine == {
        'type': 'CosineAnnealingLR',
        'eta_min': 1e-5,
        'by_epoch': True,
        'begin': epochs,
        'end': 300,
    }
    expected = {'type': 'EpochBasedTrainLoop', 'max_epochs': 300, 'val_interval': 1}
    assert plain(load(name).train_cfg) == expected


@pytest.mark.parametrize('name', named('ade20k'))
def test_data_ade20k(name: str) -> None:
    cfg = load(name)
    train = cfg.train_dataloader.dataset.pipeline
    assert steps(train) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomResize',
        'RandomCrop',
        'RandomFlip',
        'PhotoMetricDistortion',
        'PackSegInputs',
    ]
    assert plain(step(train, 'RandomResize')) == {
        'scale': [2048, 512],
        'ratio_range': [0.5, 2.0],
        'keep_ratio': True,
    }
    assert plain(step(train, 'RandomCrop')) == {'crop_size': [512, 512], 'cat_max_ratio': 0.75}
    assert step(train, 'RandomFlip') == {'prob': 0.5}
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.batch_size == 1  # images keep their ratio, so sizes differ
        pipeline = loader.dataset.pipeline
        names = ['LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackSegInputs']
        assert steps(pipeline) == names
        assert plain(step(pipeline, 'Resize')) == {'scale': [2048, 512], 'keep_ratio': True}
    for split, loader in (('training', cfg.train_dataloader), ('validation', cfg.val_dataloader)):
        dataset = loader.dataset
        assert dataset.type == 'ADE20KDataset'
        assert dataset.data_root == 'data/ade/ADEChallengeData2016'
        assert dataset.reduce_zero_label is True
        assert plain(dataset.data_prefix) == {
            'img_path': f'images/{split}',
            'seg_map_path': f'annotations/{split}',
        }
    assert plain(cfg.val_evaluator) == {'type': 'IoUMetric', 'iou_metrics': ['mIoU']}
    assert plain(cfg.test_evaluator) == plain(cfg.val_evaluator)


@pytest.mark.parametrize('name', named('ade20k'))
def test_tta_ade20k(name: str) -> None:
    cfg = load(name)
    assert cfg.tta_model.type == 'SegTTAModel'
    resizes, flips, *_ = step(cfg.tta_pipeline, 'TestTimeAug')['transforms']
    ratios = [resize['scale'][1] / 512 for resize in resizes]
    assert ratios == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert all(resize['scale'][0] == 4 * resize['scale'][1] for resize in resizes)
    assert all(resize['keep_ratio'] for resize in resizes)
    assert sorted(flip['prob'] for flip in flips) == [0.0, 1.0]


@pytest.mark.parametrize('name', named('coco'))
def test_data_coco(name: str) -> None:
    cfg = load(name)
    masks = 'mask_rcnn' in name
    train = cfg.train_dataloader.dataset.pipeline
    assert step(train, 'RandomFlip') == {'prob': 0.5}
    if '1x' in name:
        assert plain(step(train, 'Resize')) == {'scale': [1333, 800], 'keep_ratio': True}
        assert 'RandomChoice' not in steps(train)
    else:
        resize_only, crop = step(train, 'RandomChoice')['transforms']
        to_short_side = {'scales': plain(SHORT_SIDES), 'keep_ratio': True}
        assert plain(step(resize_only, 'RandomChoiceResize')) == to_short_side
        assert steps(crop) == ['RandomChoiceResize', 'RandomCrop', 'RandomChoiceResize']
        before, cut, after = crop
        assert plain(before['scales']) == [[400, 1333], [500, 1333], [600, 1333]]
        assert (cut['crop_type'], plain(cut['crop_size'])) == ('absolute_range', [384, 600])
        assert plain(after['scales']) == plain(SHORT_SIDES)
        assert 'Resize' not in steps(train)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        year = 'train2017' if split == 'train' else 'val2017'
        dataset = loader.dataset
        assert (dataset.type, dataset.data_root) == ('CocoDataset', 'data/coco/')
        assert dataset.ann_file == f'annotations/instances_{year}.json'
        assert plain(dataset.data_prefix) == {'img': f'{year}/'}
        expected = {'with_bbox': True, 'with_mask': True} if masks else {'with_bbox': True}
        assert step(dataset.pipeline, 'LoadAnnotations') == expected
        if split != 'train':
            resize = {'scale': [1333, 800], 'keep_ratio': True}
            assert plain(step(dataset.pipeline, 'Resize')) == resize
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.ann_file == 'data/coco/annotations/instances_val2017.json'
        assert list(evaluator.metric) == (['bbox', 'segm'] if masks else ['bbox'])


@pytest.mark.parametrize('name', named('coco'))
def test_tta_coco(name: str) -> None:
    cfg = load(name)
    assert cfg.tta_model.type == 'DetTTAModel'
    assert cfg.tta_model.tta_cfg.max_per_img == 100
    resizes, flips, _, (pack,) = step(cfg.tta_pipeline, 'TestTimeAug')['transforms']
    assert plain([resize['scale'] for resize in resizes]) == [
        [1333, 800],
        [666, 400],
        [2000, 1200],
    ]
    assert sorted(flip['prob'] for flip in flips) == [0.0, 1.0]
    assert {'flip', 'flip_direction', 'ori_shape'} <= set(pack['meta_keys'])


@pytest.mark.parametrize('name', named('imagenet'))
def test_data_imagenet(name: str) -> None:
    cfg = load(name)
    train = cfg.train_dataloader.dataset.pipeline
    crop = step(train, 'RandomResizedCrop')
    assert (crop['scale'], crop['interpolation']) == (224, 'bicubic')
    assert step(train, 'RandomFlip') == {'prob': 0.5, 'direction': 'horizontal'}
    augment = step(train, 'RandAugment')  # rand-m9-mstd0.5-inc1
    assert augment['policies'] == 'timm_increasing'
    assert (augment['num_policies'], augment['magnitude_level']) == (2, 9)
    assert (augment['magnitude_std'], augment['total_level']) == (0.5, 10)
    assert augment['hparams']['interpolation'] == 'bicubic'
    # Images are BGR here, the published values RGB.
    assert augment['hparams']['pad_val'] == [round(mean) for mean in IMAGE_MEAN[::-1]]
    assert step(train, 'ColorJitter') == {'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.4}
    erase = step(train, 'RandomErasing')
    assert (erase['erase_prob'], erase['mode']) == (0.25, 'rand')
    assert plain(erase['fill_color']) == IMAGE_MEAN[::-1]
    assert plain(erase['fill_std']) == IMAGE_STD[::-1]
    for split in ('val', 'test'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        resize = step(pipeline, 'ResizeEdge')
        assert (resize['scale'], resize['edge']) == (256, 'short')
        assert resize['interpolation'] == 'bicubic'
        assert step(pipeline, 'CenterCrop') == {'crop_size': 224}
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        assert (loader.dataset.type, loader.dataset.data_root) == ('ImageNet', 'data/imagenet')
        assert loader.dataset.split == ('train' if split == 'train' else 'val')
        assert loader.collate_fn == {'type': 'default_collate'}
        assert loader.pin_memory
        assert loader.persistent_workers
        # Repeated augmentation would be a sampler of its own.
        assert loader.sampler == {'type': 'DefaultSampler', 'shuffle': split == 'train'}
    assert plain(cfg.val_evaluator) == {'type': 'Accuracy', 'topk': [1, 5]}
    assert not cfg.get('custom_hooks')  # no EMA


@pytest.mark.parametrize('name', named('imagenet'))
def test_tta_imagenet(name: str) -> None:
    cfg = load(name)
    assert cfg.tta_model.type == 'AverageClsScoreTTA'
    assert steps(cfg.tta_pipeline)[1:3] == ['ResizeEdge', 'CenterCrop']
    flips, _ = step(cfg.tta_pipeline, 'TestTimeAug')['transforms']
    assert sorted(flip['prob'] for flip in flips) == [0.0, 1.0]


@pytest.mark.parametrize('name', TABLE)
def test_normalisation(name: str) -> None:
    config = load(name)
    # mmpretrain's clients and mmdeploy read it on top of a classifier's config.
    preprocessor = config.model.data_preprocessor if name in DENSE else config.data_preprocessor
    assert list(preprocessor.mean) == IMAGE_MEAN
    assert list(preprocessor.std) == IMAGE_STD
    assert preprocessor['bgr_to_rgb' if name in DENSE else 'to_rgb'] is True
    if name in named('ade20k'):
        assert tuple(preprocessor.size) == (512, 512)
        assert (preprocessor.pad_val, preprocessor.seg_pad_val) == (0, 255)
    if name in named('coco'):
        assert preprocessor.pad_size_divisor == 32


@pytest.mark.parametrize('name', named('upernet'))
def test_head_upernet(name: str) -> None:
    model, channels = load(name).model, TABLE[name].channels
    head, auxiliary = model.decode_head, model.auxiliary_head
    assert (head.type, head.channels, head.num_classes) == ('UPerHead', 512, 150)
    assert list(head.in_channels) == channels
    assert (auxiliary.type, auxiliary.channels, auxiliary.num_classes) == ('FCNHead', 256, 150)
    assert (auxiliary.in_index, auxiliary.in_channels) == (2, channels[2])
    assert (head.loss_decode.loss_weight, auxiliary.loss_decode.loss_weight) == (1.0, 0.4)
    assert head.norm_cfg.type == auxiliary.norm_cfg.type == 'SyncBN'
    assert model.test_cfg.mode == 'whole'


@pytest.mark.parametrize('name', named('fpn_sepvit'))
def test_head_fpn(name: str) -> None:
    model = load(name).model
    assert plain(model.neck) == {
        'type': 'FPN',
        'in_channels': TABLE[name].channels,
        'out_channels': 256,
        'num_outs': 4,
    }
    head = model.decode_head
    assert (head.type, head.channels, head.num_classes) == ('FPNHead', 128, 150)
    assert (list(head.in_channels), head.norm_cfg.type) == ([256] * 4, 'SyncBN')
    assert 'auxiliary_head' not in model
    assert model.test_cfg.mode == 'whole'


@pytest.mark.parametrize('name', named('mask_rcnn'))
def test_head_mask_rcnn(name: str) -> None:
    model = load(name).model
    assert plain(model.neck) == {
        'type': 'FPN',
        'in_channels': TABLE[name].channels,
        'out_channels': 256,
        'num_outs': 5,
    }
    assert model.rpn_head.in_channels == 256
    assert model.roi_head.bbox_head.num_classes == 80
    assert model.roi_head.mask_head.num_classes == 80


@pytest.mark.parametrize('name', named('retinanet'))
def test_head_retinanet(name: str) -> None:
    model = load(name).model
    assert plain(model.neck) == {
        'type': 'FPN',
        'in_channels': TABLE[name].channels,
        'out_channels': 256,
        'start_level': 1,
        'add_extra_convs': 'on_input',
        'num_outs': 5,
    }
    assert (model.bbox_head.type, model.bbox_head.num_classes) == ('RetinaHead', 80)


@pytest.mark.parametrize('name', named('imagenet'))
def test_head_imagenet(name: str) -> None:
    model = load(name).model
    assert model.neck.type == 'GlobalAveragePooling'
    head = model.head
    assert (head.type, head.num_classes) == ('LinearClsHead', 1000)
    assert head.in_channels == TABLE[name].channels[-1]
    assert head.loss.type == 'LabelSmoothLoss'
    assert (head.loss.label_smooth_val, head.loss.mode) == (0.1, 'original')
    assert plain(model.train_cfg) == {
        # No `probs`: always one of them, each as often as the other.
        'augments': [{'type': 'Mixup', 'alpha': 0.8}, {'type': 'CutMix', 'alpha': 1.0}],
    }
    assert load(name).data_preprocessor.num_classes == 1000
    assert 'data_preprocessor' not in model


@pytest.mark.parametrize('name', TABLE)
def test_clients_read_the_pipeline_that_is_tested(name: str) -> None:
    cfg = load(name)
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline == cfg.val_dataloader.dataset.pipeline
    assert cfg.train_pipeline == cfg.train_dataloader.dataset.pipeline


@pytest.mark.parametrize('name', TABLE)
def test_runtime(name: str) -> None:
    cfg = load(name)
    hooks = cfg.default_hooks
    assert cfg.randomness.seed is None  # a new one for each run
    task = 'ade20k' if 'ade20k' in name else 'coco' if 'coco' in name else 'imagenet'
    scope, visualizer, visualization, best = {
        'ade20k': ('mmseg', 'SegLocalVisualizer', 'SegVisualizationHook', 'mIoU'),
        'coco': ('mmdet', 'DetLocalVisualizer', 'DetVisualizationHook', 'coco/bbox_mAP'),
        'imagenet': ('mmpretrain', 'UniversalVisualizer', 'VisualizationHook', 'accuracy/top1'),
    }[task]
    assert (cfg.default_scope, cfg.visualizer.type) == (scope, visualizer)
    assert hooks.visualization.type == visualization
    assert (hooks.checkpoint.save_best, hooks.checkpoint.max_keep_ckpts) == (best, 3)
    # The iteration loop saves where it validates; the epoch loop each epoch.
    by_iteration = task == 'ade20k'
    assert hooks.checkpoint.interval == (cfg.train_cfg.val_interval if by_iteration else 1)
    assert hooks.checkpoint.get('by_epoch', True) is not by_iteration
    assert cfg.log_processor.by_epoch is not by_iteration
