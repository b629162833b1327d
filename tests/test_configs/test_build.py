"""Every config's model is built, trained a step, and its optimizer looked at."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData
from recipe_table import TABLE
from torch import Tensor, nn

from mmsepvit.config_tree import replace_sync_bn

for package in ('mmseg', 'mmdet', 'mmpretrain'):
    pytest.importorskip(package)

CONFIGS = Path(__file__).parents[2] / 'configs'
SIZE = 64
IN_DEFAULT_RUN = {
    'upernet_sepvit_t_ade20k',
    'fpn_sepvit_t_ade20k',
    'mask_rcnn_sepvit_t_1x_coco',
    'retinanet_sepvit_t_1x_coco',
    'sepvit_lite_imagenet',
}


def load(name: str) -> Config:
    """The config as a run without distribution has it, with small images."""
    config = Config.fromfile(CONFIGS / f'{name}.py')
    replace_sync_bn(config.model)
    preprocessor = config.model.setdefault('data_preprocessor', config.get('data_preprocessor'))  # as the runner does
    if 'size' in preprocessor:
        preprocessor.size = (SIZE, SIZE)
    return config


@pytest.fixture(autouse=True)
def _keep_the_default_scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope(None):
        yield


def build(config: Config) -> nn.Module:
    for part in ('datasets', 'models'):
        import_module(f'{config.default_scope}.{part}')
    models = import_module(f'{config.default_scope}.registry').MODELS
    with DefaultScope.overwrite_default_scope(config.default_scope):
        return models.build(copy.deepcopy(config.model))


def batch(scope: str) -> dict:
    """Two images and their annotations, as the package's own pipeline would pack them."""
    rng = np.random.default_rng(0)
    inputs = [torch.from_numpy(rng.integers(0, 256, (3, SIZE, SIZE), dtype=np.uint8)) for _ in '12']
    samples = []
    for i in range(2):
        if scope == 'mmseg':
            from mmseg.structures import SegDataSample

            sample = SegDataSample()
            labels = torch.from_numpy(rng.integers(0, 150, (1, SIZE, SIZE)))
            sample.gt_sem_seg = PixelData(data=labels)
        elif scope == 'mmdet':
            from mmdet.structures import DetDataSample
            from mmdet.structures.mask import BitmapMasks

            sample = DetDataSample()
            masks = np.zeros((2, SIZE, SIZE), np.uint8)
            masks[0, 4:40, 6:44] = masks[1, 20:60, 10:50] = 1
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[6.0, 4, 44, 40], [10, 20, 50, 60]]),
                labels=torch.tensor([i, 79]),
                masks=BitmapMasks(masks, SIZE, SIZE),
            )
            sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        else:
            from mmpretrain.structures import DataSample

            sample = DataSample().set_gt_label(999 * i)
        shape = (SIZE, SIZE)
        sample.set_metainfo({'img_shape': shape, 'ori_shape': shape, 'pad_shape': shape, 'scale_factor': (1.0, 1.0)})
        samples.append(sample)
    return {'inputs': inputs, 'data_samples': samples}


def losses(model: nn.Module, scope: str) -> Tensor:
    data = batch(scope)
    if scope == 'mmpretrain':
        data['inputs'] = torch.stack(data['inputs'])
    data = model.data_preprocessor(data, training=True)
    parsed, _ = model.parse_losses(model(**data, mode='loss'))
    return parsed


@pytest.mark.parametrize(
    'name',
    [pytest.param(name, marks=[] if name in IN_DEFAULT_RUN else pytest.mark.slow) for name in TABLE],
)
def test_loss_reaches_every_parameter(name: str) -> None:
    config = load(name)
    model = build(config)
    model.train()
    with DefaultScope.overwrite_default_scope(config.default_scope):
        loss = losses(model, config.default_scope)
    assert loss.isfinite()
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []
    broken = [name for name, p in model.named_parameters() if not p.grad.isfinite().all()]
    assert broken == []


def build_wrapper(config: Config, model: nn.Module) -> OptimWrapper:
    settings = copy.deepcopy(config.optim_wrapper)
    if settings.type == 'AmpOptimWrapper':  # refuses to be built without a GPU
        settings.type = 'OptimWrapper'
        settings.pop('loss_scale')
    return build_optim_wrapper(model, settings)


@pytest.mark.parametrize('name', TABLE)
def test_optimizer_has_each_parameter_once_with_its_rate_and_decay(name: str) -> None:
    row, config = TABLE[name], load(name)
    with torch.device('meta'):  # only names and shapes matter
        model = build(config)
    optimizer = build_wrapper(config, model).optimizer
    assert type(optimizer) is torch.optim.AdamW

    entries = [(id(p), group) for group in optimizer.param_groups for p in group['params']]
    assert Counter(id(p) for p in model.parameters()) == Counter(key for key, _ in entries)
    group_of = dict(entries)
    # By what the modules are, not by what they are called, which is how the config says it.
    exempt = set()
    if row.custom_keys:
        backbone = model.backbone
        norms = [module for module in backbone.modules() if isinstance(module, nn.LayerNorm)]
        for module in [*norms, *(stage.cpe for stage in backbone.stages)]:
            exempt |= {id(p) for p in module.parameters()}
        # 4 embeddings, 4 encodings, 4 outputs; in each block two norms and PSA's; weight and bias.
        assert len(exempt) == 2 * (12 + 3 * sum(backbone.depths))
    for parameter_name, parameter in model.named_parameters():
        group = group_of[id(parameter)]
        decay = 0.0 if id(parameter) in exempt else row.weight_decay
        assert (group['lr'], group['weight_decay']) == (row.lr, decay), parameter_name
        assert tuple(group['betas']) == (0.9, 0.999)
        assert group['eps'] == 1e-8
