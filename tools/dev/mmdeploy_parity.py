"""Exports whole models by mmdeploy's own tools and compares each file with PyTorch.

    python tools/dev/mmdeploy_parity.py MMDEPLOY [--out FOLDER] [--kinds ...] [--modes ...]

MMDEPLOY is a clone of mmdeploy, whose tools and deploy configs its wheel leaves out; both are used as they are. Model
configs are ours, but for smaller images: 256 pixels a side for the segmentors, those of ``--mini`` for the detectors.
Weights are random, of a size at which the detectors find a hundred boxes. Prints a row of a table a file.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mmsepvit
from mmsepvit.config_tree import model_settings
from mmsepvit.configs.load import load_config
from mmsepvit.configs.mini import MINI_ROOT, apply_mini, make_mini_data

ROOT = Path(__file__).resolve().parents[2]
_SEGMENTED = 256  # shorter side of the images that are segmented; UPerHead's largest pooling needs 6 x 32 pixels


@dataclass
class Kind:
    """A kind of model.

    Attributes:
        config: Name of its config.
        deploy: Its deploy config in mmdeploy, '*' for 'dynamic' or 'static'.
        static: What stands for '*' in the static case.
        images: Where the mini data has images for it.
        resnet: Whether its backbone is a ResNet-18 instead, to tell SepViT's part from the head's.
        alike: What of its config is set to have mmdeploy and PyTorch compute alike around the network; None: nothing.
    """

    config: str
    deploy: str
    static: str = 'static'
    images: str = 'ade/ADEChallengeData2016/images/validation'
    resnet: bool = False
    alike: dict[str, Any] | None = None


SEG, COCO = 'mmseg/segmentation_onnxruntime_*', 'coco/val2017'
UPERNET = partial(Kind, 'upernet_sepvit_lite_ade20k', SEG, 'static-512x512')
FPN = partial(Kind, 'fpn_sepvit_t_ade20k', SEG, 'static-512x512')
MASK_RCNN = partial(Kind, 'mask_rcnn_sepvit_lite_1x_coco', 'mmdet/instance-seg/instance-seg_onnxruntime_*', images=COCO)
RETINANET = partial(Kind, 'retinanet_sepvit_t_1x_coco', 'mmdet/detection/detection_onnxruntime_*', images=COCO)
# What mmdeploy does otherwise than the packages around the network, whatever the backbone: docs/deploy.md lists it.
# With these settings, `_widen_regions`, and images that need no resizing, both compute the same.
POOLING_THAT_DIVIDES = {'model.decode_head.pool_scales': (1, 2, 2, 4)}
ALIKE_IN_ONE_STAGE = {
    'model.data_preprocessor.pad_size_divisor': 1,
    'model.test_cfg.nms_pre': 100_000,
    'model.test_cfg.min_bbox_size': -1,
}
ALIKE_IN_TWO_STAGES = {
    'model.data_preprocessor.pad_size_divisor': 1,
    'model.test_cfg.rpn.nms.class_agnostic': True,
    'model.test_cfg.rpn.score_thr': 0.0,
    'model.test_cfg.rpn.min_bbox_size': -1,
    'model.roi_head.bbox_head.reg_class_agnostic': True,
    'model.test_cfg.rcnn.score_thr': 0.02,  # else fewer than a hundred boxes
}
KINDS = {
    'UperNet': UPERNET(),
    'UperNet, computed alike': UPERNET(alike=POOLING_THAT_DIVIDES),
    'UperNet, ResNet-18, computed alike': UPERNET(resnet=True, alike=POOLING_THAT_DIVIDES),
    'Semantic FPN': FPN(),
    'Semantic FPN, computed alike': FPN(alike={}),
    'Semantic FPN, ResNet-18, computed alike': FPN(resnet=True, alike={}),
    'Mask R-CNN': MASK_RCNN(),
    'Mask R-CNN, computed alike': MASK_RCNN(alike=ALIKE_IN_TWO_STAGES),
    'RetinaNet': RETINANET(),
    'RetinaNet, computed alike': RETINANET(alike=ALIKE_IN_ONE_STAGE),
    'classifier': Kind('sepvit_lite_imagenet', 'mmpretrain/classification_onnxruntime_*'),
}


def model_config(kind: Kind) -> Config:
    config = load_config(mmsepvit.config(kind.config))
    is_segmentor = config.default_scope == 'mmseg'
    if config.default_scope == 'mmdet':
        apply_mini(config)
    elif is_segmentor:
        resize = next(transform for transform in config.test_pipeline if transform['type'] == 'Resize')
        resize.scale = (4 * _SEGMENTED, _SEGMENTED)
    if kind.resnet:
        config.model.backbone = dict(type='ResNet', depth=18, norm_cfg=dict(type='BN'), norm_eval=True)
        if config.model.get('neck'):
            config.model.neck.in_channels = [64, 128, 256, 512]
        else:
            config.model.decode_head.in_channels = [64, 128, 256, 512]
            config.model.auxiliary_head.in_channels = 256
    if kind.alike is not None:
        config.merge_from_dict(kind.alike)
        config.test_pipeline = [step for step in config.test_pipeline if step['type'] != 'Resize' or not is_segmentor]
    return config


def write_model(kind: Kind, folder: Path) -> tuple[str, str]:
    """Writes the config and random weights; returns their paths."""
    config = model_config(kind)
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(model_settings(config))
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not name.startswith('backbone'):
            # Activations keep their size: of smaller weights no score would be found, of larger ones rounding grows.
            nn.init.kaiming_normal_(module.weight)
            if name.endswith(('_cls', '_reg')):
                module.weight.data /= 10  # scores below 1, and boxes near to their anchors and proposals
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    folder.mkdir(parents=True, exist_ok=True)
    paths = str(folder / 'model.py'), str(folder / 'model.pth')
    config.dump(paths[0])
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, paths[1])
    return paths


def images_of(kind: Kind, mode: str, folder: Path) -> list[str]:
    """Three images, the first to trace with; of one size in the static case, else of several."""
    if kind.alike is not None and kind.deploy == SEG:
        return _unresized(kind, mode, folder)
    files = sorted((Path(make_mini_data(ROOT / MINI_ROOT)) / kind.images).glob('*.jpg'))
    sizes = [Image.open(file).size for file in files]
    same = [file for file, size in zip(files, sizes) if (size == sizes[0])]
    other = [file for file, size in zip(files, sizes) if (size != sizes[0])]
    return [str(file) for file in (same[:3] if mode == 'static' else same[:1] + other[:2])]


def _unresized(kind: Kind, mode: str, folder: Path) -> list[str]:
    """Images of the very size that the network is given, and maps that the poolings divide."""
    files = sorted((Path(make_mini_data(ROOT / MINI_ROOT)) / kind.images).glob('*.jpg'))
    sizes = [(512, 512)] * 3 if mode == 'static' else [(256, 256), (384, 256), (256, 512)]
    for file, size in zip(files, sizes):
        Image.open(file).resize(size).save(folder / file.with_suffix('.png').name)
    return [str(folder / file.with_suffix('.png').name) for file, _ in zip(files, sizes)]


def _widen_regions(network: nn.Module) -> None:
    """Has regions be a pixel of their map wide and high at least, as RoiAlign of ONNX has them at opset 11."""
    from mmcv.ops import RoIAlign

    def widened(layer: nn.Module, args: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        maps, regions = args
        corners = torch.maximum(regions[:, 3:], regions[:, 1:3] + 1 / layer.spatial_scale)
        return maps, torch.cat([regions[:, :3], corners], 1)

    for module in network.modules():
        if isinstance(module, RoIAlign):
            module.register_forward_pre_hook(widened)


def predictions(
    deploy: str, model: str, files: list[str], images: list[str], pytorch: bool, alike: bool = False
) -> list[Any]:
    """What mmdeploy's task processor predicts for the images, by PyTorch's checkpoint or by the exported files."""
    from mmdeploy.apis.utils import build_task_processor
    from mmdeploy.utils import get_input_shape, load_config

    deploy_config, config = load_config(deploy, model)
    processor = build_task_processor(config, deploy_config, 'cpu')
    if pytorch:
        network = processor.build_pytorch_model(files[0])
        if alike:
            _widen_regions(network)
    else:
        network = processor.build_backend_model(files, data_preprocessor_updater=processor.update_data_preprocessor)
    found = []
    for image in images:
        inputs, _ = processor.create_input(image, get_input_shape(deploy_config))
        with torch.no_grad():
            found.append(network.test_step(inputs)[0])
    return found


def compare_segmentation(wanted: Any, found: Any) -> float:
    return (wanted.pred_sem_seg.data == found.pred_sem_seg.data).double().mean().item()


def compare_classes(wanted: Any, found: Any) -> float:
    return ((wanted.pred_score - found.pred_score).abs().max() / wanted.pred_score.max()).item()


def compare_boxes(wanted: Any, found: Any) -> tuple[int, int, float]:
    """(boxes that both have, boxes of PyTorch, share of pixels at which the masks of those agree).

    Masks of boxes below a pixel's width or height are left out: each resizes them to what it likes.
    """
    wanted, found = wanted.pred_instances, found.pred_instances
    both, agreed, pixels, free = 0, 0.0, 0, set(range(len(found)))
    for one in range(len(wanted)):
        near = [
            other
            for other in free
            if wanted.labels[one] == found.labels[other]
            and (wanted.scores[one] - found.scores[other]).abs() < 1e-3
            and (wanted.bboxes[one] - found.bboxes[other]).abs().max() < 0.1
        ]
        if near:
            both += 1
            free.remove(near[0])
            left, top, right, bottom = wanted.bboxes[one].tolist()
            if 'masks' in wanted and min(right - left, bottom - top) >= 1:
                same = wanted.masks[one].bool() == torch.as_tensor(found.masks[near[0]]).bool()
                agreed, pixels = agreed + same.sum().item(), pixels + same.numel()
    return both, len(wanted), agreed / pixels if pixels else float('nan')


def told(kind: Kind, wanted: list[Any], found: list[Any]) -> str:
    """The outcome of the images in words."""
    pairs = list(zip(wanted, found))
    if 'mmseg' in kind.deploy:
        return ', '.join(f'{100 * compare_segmentation(*pair):.2f}' for pair in pairs) + ' % of the pixels'
    if 'mmpretrain' in kind.deploy:
        return f'scores to {max(compare_classes(*pair) for pair in pairs):.0e} of the largest'
    boxes = [compare_boxes(*pair) for pair in pairs]
    text = 'boxes ' + ', '.join(f'{both} of {of}' for both, of, _ in boxes)
    return text + (f'; mask pixels {100 * min(b[2] for b in boxes):.3f} %' if 'instance' in kind.deploy else '')


def run(mmdeploy: Path, name: str, mode: str, out: Path, tool: str, environment: dict[str, str]) -> str:
    kind = KINDS[name]
    deploy = str(mmdeploy / 'configs' / f'{kind.deploy.replace("*", mode if mode == "dynamic" else kind.static)}.py')
    folder = out / f'{name.replace(", ", "-").replace(" ", "-").lower()}-{mode}'
    model, checkpoint = write_model(kind, folder)
    images = images_of(kind, mode, folder)
    command = [sys.executable, str(mmdeploy / f'tools/{tool}.py'), deploy, model, checkpoint, images[0]]
    with (folder / f'{tool}.log').open('w') as log:
        done = subprocess.run(
            [*command, '--work-dir', str(folder), '--device', 'cpu'], stdout=log, stderr=log, env=environment
        )
    if done.returncode or not (folder / 'end2end.onnx').is_file():
        return f'{tool}.py failed, see {folder / tool}.log'
    wanted = predictions(deploy, model, [checkpoint], images, pytorch=True, alike=kind.alike is not None)
    found = predictions(deploy, model, [str(folder / 'end2end.onnx')], images, pytorch=False)
    return told(kind, wanted, found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('mmdeploy', type=Path, metavar='MMDEPLOY', help='clone of mmdeploy')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/mmdeploy'), help='default: work_dirs/mmdeploy')
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS), metavar='KIND', help=', '.join(KINDS))
    parser.add_argument('--modes', nargs='+', choices=('dynamic', 'static'), default=['dynamic', 'static'])
    parser.add_argument(
        '--tool',
        choices=('deploy', 'torch2onnx'),
        default='deploy',
        help="which of mmdeploy's tools: deploy, which also draws pictures, or torch2onnx, its first step alone, which "
        'writes the same file in less time (default: deploy)',
    )
    args = parser.parse_args()
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    if (
        importlib.util.find_spec('mmdeploy') is None
    ):  # not installed: as it is in the clone, less its compiled operators
        sys.path.append(str(args.mmdeploy.resolve()))
        paths.append(str(args.mmdeploy.resolve()))
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))}
    print('| model | mode | equal to PyTorch |\n| --- | --- | --- |')
    for name in args.kinds:
        for mode in args.modes:
            try:
                outcome = run(args.mmdeploy.resolve(), name, mode, args.out.resolve(), args.tool, environment)
            except Exception as error:
                outcome = f'{type(error).__name__}: {str(error).splitlines()[0][:200]}'
            print(f'| {name} | {mode} | {outcome} |', flush=True)


if __name__ == '__main__':
    main()
