"""Grad-CAM of the package grad-cam, by the recipe of docs/look_inside.md."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mmsepvit
from mmsepvit.configs.load import load_config

pytest.importorskip('pytorch_grad_cam')

from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

CLASS = 7


@pytest.fixture(scope='module')
def model() -> nn.Module:
    mmpretrain = pytest.importorskip('mmpretrain')
    config = load_config(mmsepvit.config('sepvit_lite_imagenet'))
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    return mmpretrain.get_model(config).eval()


def blocks_of(model: nn.Module) -> list[nn.Module]:
    return [block for stage in model.backbone.stages for block in stage.blocks]


def channels_first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)


def expected(model: nn.Module, block: nn.Module, images: Tensor) -> np.ndarray:
    """Grad-CAM as its paper has it: ReLU of the block's channels, each weighed by the mean gradient of the class."""
    kept = []
    hook = block.register_forward_hook(lambda module, args, result: kept.append(result))
    score = model(images)[0, CLASS]
    hook.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    return (kept[0] * gradient.mean((1, 2), keepdim=True)).sum(-1).relu().detach().numpy()


def test_every_block_has_its_map(model: nn.Module) -> None:
    images = torch.randn(1, 3, 64, 96)
    empty = 0  # maps in which every weight is below zero
    for block in blocks_of(model):
        with GradCAM(model=model, target_layers=[block], reshape_transform=channels_first) as cam:
            found = cam(input_tensor=images, targets=[ClassifierOutputTarget(CLASS)])
        wanted = scale_cam_image(expected(model, block, images), (96, 64))
        empty += int(found.max() == 0)
        assert found.shape == (1, 64, 96)
        np.testing.assert_allclose(found, scale_cam_image(wanted), atol=1e-4)
    assert empty < len(blocks_of(model)) / 2
    assert not any(module._forward_hooks for module in model.modules())
