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
WIDENED = 'mmsepvit://sepvit_tiny_widened'


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


def test_tiny_starts_with_the_features_of_lite() -> None:
    lite, tiny = SepViT('lite', init_cfg=START), SepViT('tiny', init_cfg={**START, 'checkpoint': WIDENED})
    for model in (lite, tiny):
        model.init_weights()
        model.double().eval()
    images = torch.rand(2, 3, 97, 170, dtype=torch.float64)
    with torch.no_grad():
        for narrow, wide in zip(lite(images), tiny(images)):
            torch.testing.assert_close(wide, narrow.repeat(1, 3, 1, 1), rtol=1e-5, atol=1e-5)


def test_the_copies_of_a_channel_part_in_training() -> None:
    torch.manual_seed(0)
    model = SepViT('tiny', init_cfg={**START, 'checkpoint': WIDENED})
    model.init_weights()
    head = torch.nn.Conv2d(768, 5, 1)
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-3)
    head(model(torch.rand(2, 3, 64, 64))[-1]).logsumexp(dim=1).mean().backward()
    optimizer.step()
    first, second, _ = model.stages[0].blocks[0].attn.dsa_qkv.weight.unflatten(0, (3, 3, 32)).unbind(1)
    assert not torch.equal(first, second)
