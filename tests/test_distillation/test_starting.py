"""The warning of random weights: when a dense SepViT has none to start from, and only then."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.model import BaseModule, PretrainedInit
from torch import nn

from mmsepvit import FeatureDistillation, SepViT
from mmsepvit.engine.starting import check_channels, random_start
from mmsepvit.errors import UserError

FILE = {'type': 'Pretrained', 'checkpoint': 'weights.pth'}
NORMAL = {'type': 'Normal', 'layer': 'Conv2d'}


class Segmentor(BaseModule):
    def __init__(self, init_cfg: dict | None = None, backbone_init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone = SepViT('lite', init_cfg=backbone_init_cfg)


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet', 'mmrotate', None])
def test_random_weights_are_told_of(scope: str) -> None:
    warning = random_start(Segmentor(), Config({'default_scope': scope, 'load_from': None, 'resume': False}))
    assert 'RANDOM' in warning
    assert 'docs/without_weights.md' in warning


def test_other_initialisation_is_random_too() -> None:
    assert random_start(Segmentor(backbone_init_cfg=NORMAL), Config({'default_scope': 'mmseg'})) is not None


@pytest.mark.parametrize(
    ('model', 'changes'),
    [
        (Segmentor(backbone_init_cfg=FILE), {}),
        (Segmentor(init_cfg=FILE), {}),
        (Segmentor(backbone_init_cfg=[NORMAL, FILE]), {}),
        (Segmentor(backbone_init_cfg={**FILE, 'type': PretrainedInit}), {}),
        (Segmentor(backbone_init_cfg={**FILE, 'type': 'mmengine.Pretrained'}), {}),
        (FeatureDistillation(SepViT('lite'), nn.Identity(), [{'student': 3, 'teacher': 0, 'channels': 3}]), {}),
        (Segmentor(), {'load_from': 'detector.pth'}),
        (Segmentor(), {'resume': True}),
        (Segmentor(), {'default_scope': 'mmpretrain'}),
        (nn.Conv2d(3, 3, 1), {}),  # somebody else's backbone
    ],
)
def test_otherwise_nothing_is_said(model: nn.Module, changes: dict) -> None:
    assert random_start(model, Config({'default_scope': 'mmseg', **changes})) is None


@pytest.mark.parametrize('channels', [(3, 0), (0, 3)])
def test_layers_of_no_channels_are_refused(channels: tuple[int, int]) -> None:
    model = nn.Sequential(nn.LazyConv2d(2, 1), nn.Conv2d(3, 3, 1))
    check_channels(model)
    model.append(nn.Conv2d(*channels, 1))
    with pytest.raises(UserError, match=r'model\.2 in the config comes to a layer of no channels'):
        check_channels(model)
