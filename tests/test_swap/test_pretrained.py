"""Weights by one option: put in the backbone with the right prefix, and checked before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmsepvit.checkpoints.fits import check_fits
from mmsepvit.configs.swap import swap_backbone
from mmsepvit.errors import UserError
from mmsepvit.models import SepViT

SOURCE = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco'


def saved(path: Path, prefix: str, backbone: SepViT, **more: torch.Tensor) -> str:
    state = {f'{prefix}{name}': value for name, value in backbone.state_dict().items()}
    torch.save({'state_dict': {**state, **more}}, path)
    return str(path)


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'student.backbone.'])
def test_weights_arrive(tmp_path: Path, prefix: str) -> None:
    backbone = SepViT('lite')
    file = saved(tmp_path / 'weights.pth', prefix, backbone)
    config = swap_backbone(SOURCE, 'lite', pretrained=file).model.backbone
    assert config.init_cfg.get('prefix', '') == prefix
    built = MODELS.build(config)
    built.init_weights()
    name = 'stages.2.blocks.3.mlp.fc1.weight'
    assert torch.equal(built.state_dict()[name], backbone.state_dict()[name])


def test_frozen_stages_with_weights_are_no_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = saved(tmp_path / 'weights.pth', '', SepViT('lite'))
    assert swap_backbone(SOURCE, 'lite', 'keep', file).model.backbone.frozen_stages == 1


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    file = saved(tmp_path / 'tiny.pth', 'backbone.', SepViT('tiny'))
    with pytest.raises(UserError, match='another arch'):
        swap_backbone(SOURCE, 'lite', pretrained=file)
    torch.save({'state_dict': {'conv1.weight': torch.zeros(3)}}, tmp_path / 'resnet.pth')
    with pytest.raises(UserError, match=r'no SepViT in it; its parameters are conv1'):
        swap_backbone(SOURCE, pretrained=str(tmp_path / 'resnet.pth'))
    with pytest.raises(UserError, match='does not exist'):
        swap_backbone(SOURCE, pretrained=str(tmp_path / 'nothing.pth'))


def test_three_bands_for_four_name_load_from(tmp_path: Path) -> None:
    file = saved(tmp_path / 'rgb.pth', '', SepViT('lite'))
    with pytest.raises(UserError, match=r'(?s)images of 3 channels.*in_channels=4.*load_from'):
        swap_backbone(SOURCE, 'lite', pretrained=file, in_channels=4)


def test_a_classifier_of_a_larger_input_says_so(tmp_path: Path) -> None:
    """At 448 pixels stage 4 has four windows, and PSA; at 224 it has one and none."""
    form = {'out_indices': (3,), 'window_token': 'learnable', 'single_window_psa': False}
    file = saved(tmp_path / 'large.pth', 'backbone.', SepViT('lite', input_size=448, **form))
    source = 'mmpretrain::resnet/resnet50_8xb32_in1k'
    with pytest.raises(UserError, match='another input_size'):
        swap_backbone(source, 'lite', pretrained=file)
    assert swap_backbone(source, 'lite', pretrained=file, input_size=448).model.backbone.input_size == 448
    small = saved(tmp_path / 'small.pth', 'backbone.', SepViT('lite', **form))
    swap_backbone(source, 'lite', pretrained=small, input_size=448)  # its PSA starts anew, by design


def test_resuming_a_classifier_of_another_input_size_says_so() -> None:
    def classifier(size: int) -> Config:
        backbone = {'type': 'SepViT', 'arch': 'lite', 'input_size': size, 'out_indices': (3,)}
        backbone.update(window_token='learnable', single_window_psa=False)
        head = {'type': 'LinearClsHead', 'num_classes': 2, 'in_channels': 256}
        neck = {'type': 'GlobalAveragePooling'}
        model = {'type': 'ImageClassifier', 'backbone': backbone, 'neck': neck, 'head': head}
        return Config({'default_scope': 'mmpretrain', 'model': model})

    states = {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for size in (224, 384, 448):
            states[size] = {'state_dict': MODELS.build(classifier(size).model).state_dict()}
    assert check_fits('own.pth', states[224], classifier(224)) == []
    # At 448 both blocks of stage 4 and the three of stage 3 with windows of 14 have PSA, at 224 none of them.
    for trained_at, size in ((224, 448), (448, 224)):
        with pytest.raises(UserError, match='another input_size'):
            check_fits('other.pth', states[trained_at], classifier(size))
    [left_out, resized] = check_fits('large.pth', states[448], classifier(224), partial=True)
    assert '20 weights of PSA are left out' in left_out
    # The same blocks have PSA at 384.
    [note] = check_fits('large.pth', states[448], classifier(384))
    assert 'stages.0.blocks.0.attn.window_token from 16x16 to 14x14' in note
    assert resized.partition(' from ')[2] == '16x16 to 8x8'
