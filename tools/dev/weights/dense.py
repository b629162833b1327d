"""Mask R-CNN and UperNet with SepViT-Lite on composited photographs: from nothing, distilled, or pretrained directly.

    PYTHONPATH=.:tools python -m dev.weights.dense detection --data composites --weights work/lite.pth
    PYTHONPATH=.:tools python -m dev.weights.dense segmentation --data composites --weights work/lite.pth
    PYTHONPATH=.:tools python -m dev.weights.dense direct --data composites

The models, losses and optimizers are those of this project's configs; pictures, batch, rate, length and the detector's
sample of regions are smaller, and both arms train in bfloat16.
`direct` gives both arms the same processor time: all of it at 192 pixels, or the first part at 96.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config

from mmsepvit.config_tree import replace_sync_bn
from mmsepvit.engine.precision import set_precision
from mmsepvit.engine.runner import build_runner

from . import results
from .composites import CLASSES

REPO = Path(__file__).resolve().parents[3]
RATE = 3e-4
BATCH = 4
EACH = 50  # steps that a value of the loss is the mean over


def base(name: str, work: Path, seed: int, start: dict | None, steps: int) -> Config:
    config = Config.fromfile(REPO / 'configs' / f'{name}.py')
    config.model.backbone.update(init_cfg=start, drop_path_rate=0.0)
    config.work_dir = str(work)
    config.randomness = {'seed': seed}
    set_precision(config, 'bf16')
    config.optim_wrapper.optimizer.lr = RATE
    config.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': steps, 'val_interval': steps}
    warmup = max(1, steps // 10)
    config.param_scheduler = [
        {'type': 'LinearLR', 'start_factor': 0.01, 'by_epoch': False, 'begin': 0, 'end': warmup},
        {'type': 'CosineAnnealingLR', 'by_epoch': False, 'begin': warmup, 'end': steps, 'eta_min': 0.0},
    ]
    config.default_hooks.checkpoint = {'type': 'CheckpointHook', 'by_epoch': False, 'interval': steps}
    config.log_processor.by_epoch = False
    replace_sync_bn(config.model)
    return config


def loader(dataset: dict, batch: int, endless: bool) -> dict:
    sampler = {'type': 'InfiniteSampler' if endless else 'DefaultSampler', 'shuffle': endless}
    return {'batch_size': batch, 'num_workers': 0, 'sampler': sampler, 'dataset': dataset}


def detection(data: Path, side: int, **settings: object) -> Config:
    config = base('mask_rcnn_sepvit_lite_1x_coco', **settings)
    for head in ('bbox_head', 'mask_head'):
        config.model.roi_head[head].num_classes = len(CLASSES)
    # The heads of many regions would take most of the time, and at most five objects are in a picture.
    config.model.train_cfg.rcnn.sampler.num = 16
    config.model.test_cfg.rpn.max_per_img = 200
    config.model.test_cfg.rcnn.max_per_img = 20
    read = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'Resize', 'scale': (side, side), 'keep_ratio': True},
    ]
    meta = {'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')}
    for split, steps in (
        ('train', [*read, {'type': 'RandomFlip', 'prob': 0.5}, {'type': 'PackDetInputs'}]),
        ('val', [*read, {'type': 'PackDetInputs', **meta}]),
    ):
        dataset = {
            'type': 'CocoDataset',
            'data_root': str(data),
            'ann_file': f'{split}.json',
            'data_prefix': {'img': f'images/{split}/'},
            'metainfo': {'classes': CLASSES},
            'test_mode': split == 'val',
            'pipeline': steps,
        }
        config[f'{split}_dataloader'] = loader(dataset, BATCH, split == 'train')
    config.val_evaluator.ann_file = str(data / 'val.json')
    config.test_dataloader = config.test_cfg = config.test_evaluator = None
    return config


def segmentation(data: Path, side: int, **settings: object) -> Config:
    config = base('upernet_sepvit_lite_ade20k', **settings)
    for head in ('decode_head', 'auxiliary_head'):
        config.model[head].num_classes = len(CLASSES) + 1
    config.model.data_preprocessor.size = (side, side)
    resize = {'type': 'Resize', 'scale': (side, side), 'keep_ratio': True}
    read = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}, resize]
    for split, steps in (
        ('train', [*read, {'type': 'RandomFlip', 'prob': 0.5}, {'type': 'PackSegInputs'}]),
        ('val', [{'type': 'LoadImageFromFile'}, resize, {'type': 'LoadAnnotations'}, {'type': 'PackSegInputs'}]),
    ):
        dataset = {
            'type': 'BaseSegDataset',
            'data_root': str(data),
            'data_prefix': {'img_path': f'images/{split}', 'seg_map_path': f'annotations/{split}'},
            'metainfo': {'classes': ('background', *CLASSES), 'palette': [[i] * 3 for i in range(len(CLASSES) + 1)]},
            'pipeline': steps,
        }
        config[f'{split}_dataloader'] = loader(dataset, BATCH if split == 'train' else 1, split == 'train')
    config.test_dataloader = config.test_cfg = config.test_evaluator = None
    return config


def run(config: Config) -> tuple[dict[str, float | list[float]], float]:
    """Trains, and returns the last validation's figures, the loss's course and the processor time in seconds."""
    runner = build_runner(config)
    begin = time.process_time()
    runner.train()
    seconds = time.process_time() - begin
    scalars = runner.message_hub.log_scalars
    wanted = ('val/coco/bbox_mAP_50', 'val/coco/segm_mAP_50', 'val/mIoU')
    figures = {name.rsplit('/', 1)[-1]: round(float(scalars[name].current()), 4) for name in wanted if name in scalars}
    losses, _ = scalars['train/loss'].data
    figures['loss'] = [round(float(losses[end - EACH : end].mean()), 3) for end in range(EACH, len(losses) + 1, EACH)]
    return figures, seconds


def compare(command: str, args: argparse.Namespace) -> None:
    make = detection if command == 'detection' else segmentation
    start = {'type': 'Pretrained', 'checkpoint': args.weights, 'prefix': 'backbone.'}
    for seed in args.seeds:
        for arm, init_cfg in (('scratch', None), ('distilled', start)):
            key = {'table': command, 'arm': arm, 'seed': seed, 'steps': args.steps, 'side': args.side}
            if results.is_there(key):
                continue
            work = args.work / f'{command}_{arm}_{seed}'
            figures, seconds = run(make(args.data, args.side, work=work, seed=seed, start=init_cfg, steps=args.steps))
            results.add(key, **figures, seconds=round(seconds))


def direct(args: argparse.Namespace) -> None:
    """From nothing at full size, against half of the processor time at half the size and the rest at full size."""
    for seed in args.seeds:
        key = {'table': 'direct', 'seed': seed, 'steps': args.steps, 'side': args.side}
        if results.is_there({**key, 'arm': 'direct'}):
            continue
        settings = {'seed': seed, 'start': None}
        work = args.work / f'direct_{seed}'
        figures, seconds = run(detection(args.data, args.side, work=work / 'whole', steps=args.steps, **settings))
        results.add({**key, 'arm': 'scratch'}, **figures, seconds=round(seconds))
        first_steps = args.steps  # at half the side, where a step costs less
        _, first_seconds = run(detection(args.data, args.side // 2, work=work / 'first', steps=first_steps, **settings))
        rest = max(1, round(args.steps * (seconds - first_seconds) / seconds))
        second = detection(args.data, args.side, work=work / 'second', steps=rest, **settings)
        second.load_from = str(work / 'first' / f'iter_{first_steps}.pth')
        figures, second_seconds = run(second)
        results.add({**key, 'arm': 'direct'}, **figures, seconds=round(first_seconds + second_seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('detection', 'segmentation', 'direct'))
    parser.add_argument('--data', type=Path, required=True, help='folder that composites.py wrote')
    parser.add_argument('--weights', help='checkpoint of a distillation, or mmsepvit://NAME')
    parser.add_argument('--work', type=Path, default=Path('work_dirs/weights'))
    parser.add_argument('--steps', type=int, default=500)
    parser.add_argument('--side', type=int, default=192)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    args = parser.parse_args()
    if not (args.data / 'train.json').is_file():
        sys.exit(f'{args.data} has no composites: make them with dev.weights.composites')
    torch.set_num_threads(1)
    if args.command == 'direct':
        direct(args)
    else:
        compare(args.command, args)


if __name__ == '__main__':
    main()
