"""Weights that a config's SepViT starts from are checked before anything is built, however ``init_cfg`` is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule, PretrainedInit
from mmengine.registry import MODELS
from torch import nn

from mmsepvit import SepViT
from mmsepvit.checkpoints.fits import check_fits, check_pretrained
from mmsepvit.errors import UserError


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
@pytest.mark.parametrize('listed', [False, True])
def test_weights_of_another_arch_are_refused(kind: object, listed: bool, tmp_path: Path) -> None:
    file = tmp_path / 'lite.pth'
    torch.save(SepViT('lite').state_dict(), file)
    start = {'type': kind, 'checkpoint': str(file)}
    init_cfg = [{'type': 'Normal', 'layer': 'Conv2d'}, start] if listed else start
    backbone = {'type': 'mmsepvit.SepViT', 'arch': 'lite', 'init_cfg': init_cfg}
    config = Config({'default_scope': 'mmengine', 'model': {'backbone': backbone}})
    check_pretrained(config)
    config.model.backbone.arch = 'tiny'
    with pytest.raises(UserError, match=r"model\.backbone\.init_cfg: checkpoint '.*lite\.pth'"):
        check_pretrained(config)


class Model(BaseModule):
    """A model of torch and mmengine alone."""

    def __init__(self, backbone: dict, classes: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(self.backbone.out_channels[-1], classes)


def model_config(arch: str, classes: int, **backbone: object) -> Config:
    backbone = {'type': 'mmsepvit.SepViT', 'arch': arch, **backbone}
    return Config({'default_scope': 'mmengine', 'model': {'type': Model, 'backbone': backbone, 'classes': classes}})


@pytest.mark.parametrize(
    ('arch', 'classes', 'changes', 'fits'),
    [
        ('lite', 2, {}, True),
        ('lite', 5, {}, True),
        ('lite', 2, {'in_channels': 4}, True),
        ('tiny', 2, {}, False),
        ('base', 5, {'in_channels': 4}, False),
    ],
)
def test_fine_tuning_takes_other_heads_and_bands_and_no_other_arch(
    arch: str, classes: int, changes: dict, fits: bool
) -> None:
    weights = {'state_dict': MODELS.build(model_config('lite', 2).model).state_dict()}
    config = model_config(arch, classes, **changes)
    if fits:
        check_fits('a.pth', weights, config, partial=True)
        return
    with pytest.raises(UserError, match=f"'a.pth'.*SepViT lite, the config says {arch}"):
        check_fits('a.pth', weights, config, partial=True)
