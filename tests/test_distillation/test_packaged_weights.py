"""The weights that the package carries: they are all of a dense Lite, and the configs that name them read them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from safetensors.torch import load_file

from mmsepvit import SepViT

CONFIGS = Path(__file__).parents[2] / 'configs'
START = {'type': 'Pretrained', 'checkpoint': 'mmsepvit://sepvit_lite_distilled', 'prefix': 'backbone.'}


def test_dense_lite_starts_from_all_of_them() -> None:
    with resources.as_file(resources.files('mmsepvit') / 'weights' / 'sepvit_lite_distilled.safetensors') as file:
        stored = load_file(file)
    backbone = SepViT('lite', init_cfg=START)
    backbone.init_weights()
    state = backbone.state_dict()
    assert {f'backbone.{name}' for name in state} == stored.keys()
    for name, value in state.items():
        assert stored[f'backbone.{name}'].dtype == torch.float16
        assert torch.equal(value, stored[f'backbone.{name}'].float()), name


def test_lite_configs_read_them() -> None:
    for name in ('upernet_sepvit_lite_ade20k', 'mask_rcnn_sepvit_lite_1x_coco'):
        backbone = MODELS.build(Config.fromfile(CONFIGS / f'{name}.py').model.backbone)
        backbone.init_weights()
        reference = SepViT('lite', init_cfg=START)
        reference.init_weights()
        assert torch.equal(backbone.stages[3].blocks[1].mlp.fc2.weight, reference.stages[3].blocks[1].mlp.fc2.weight)
