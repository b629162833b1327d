"""Types of a config as class, as path or with a scope, and backbones that no registry knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import own
import pytest
from mmengine.config import Config

from mmsepvit.cli.swap_backbone import main
from mmsepvit.configs.swap import SwapRefused, load, swap_backbone


def detector(backbone: dict[str, Any], **model: Any) -> Config:
    """A RetinaNet of one's own on this backbone."""
    return Config(
        {
            'default_scope': 'mmdet',
            'model': {
                'type': 'RetinaNet',
                'backbone': backbone,
                'neck': {'type': 'FPN', 'in_channels': [10, 20, 40], 'out_channels': 64, 'num_outs': 5},
                'bbox_head': {'type': 'RetinaHead', 'num_classes': 3, 'in_channels': 64},
                **model,
            },
        }
    )


@pytest.mark.parametrize('kind', [own.Pyramid, 'own.Pyramid', own.UNet])
def test_a_backbone_that_is_not_registered(kind: Any) -> None:
    model = swap_backbone(detector({'type': kind})).model
    assert model.backbone.out_indices == (1, 2, 3)
    assert model.neck.in_channels == [192, 384, 768]


def test_a_type_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match=r"Nothing registers 'Nowhere'.*custom_imports"):
        swap_backbone(detector({'type': 'Nowhere'}))


def test_types_as_classes_are_swapped_alike() -> None:
    from mmdet.models import FPN, ResNet, RetinaHead, RetinaNet
    from torch.optim import SGD

    source = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco'
    config = load(source)
    options = {'type': RetinaNet, 'backbone.type': ResNet, 'neck.type': FPN, 'bbox_head.type': RetinaHead}
    config.merge_from_dict({f'model.{key}': value for key, value in options.items()})
    config.optim_wrapper.optimizer.type = SGD
    config.pop('default_scope')  # a config of classes needs none
    new, expected = swap_backbone(config), swap_backbone(source)
    assert new.model.backbone == expected.model.backbone
    assert new.model.neck.in_channels == expected.model.neck.in_channels
    assert new.model.data_preprocessor == expected.model.data_preprocessor
    assert new.optim_wrapper.optimizer == expected.optim_wrapper.optimizer


def test_a_class_that_inherits_from_a_refused_one_is_refused() -> None:
    from mmdet.models import CornerNet

    class Mine(CornerNet):
        pass

    config = load('mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco')
    config.model.type = Mine
    with pytest.raises(SwapRefused, match='stacked hourglass'):
        swap_backbone(config)


def test_a_written_config_names_its_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / 'mine.py', tmp_path / 'new.py'
    source.write_text(
        "custom_imports = dict(imports=['own'])\ndefault_scope = 'mmdet'\n"
        "model = dict(type='RetinaNet', backbone=dict(type='own.Pyramid'),\n"
        "    neck=dict(type='FPN', in_channels=[10, 20, 40], out_channels=64, num_outs=5),\n"
        "    bbox_head=dict(type='RetinaHead', num_classes=3, in_channels=64))\n"
    )
    assert main([str(source), '--arch', 'lite', '--out', str(out)]) in (0, None)
    assert Config.fromfile(out).model.neck.in_channels == [64, 128, 256]


def test_and_back() -> None:
    """Another backbone by the same way, so that a comparison is one command."""
    old = swap_backbone('mmdet::retinanet/retinanet_r50_fpn_1x_coco')
    new = swap_backbone(old, backbone={'type': 'mmpretrain.ConvNeXt', 'arch': 'tiny'})
    assert new.model.backbone.type == 'mmpretrain.ConvNeXt'
    assert new.model.neck.in_channels == [96, 192, 384, 768]
    assert new.model.backbone.drop_path_rate == 0.2
    assert new.optim_wrapper == old.optim_wrapper
    resnet = swap_backbone(old, backbone={'type': 'ResNet', 'depth': 18})
    assert resnet.model.neck.in_channels == [64, 128, 256, 512]
    with pytest.raises(ValueError, match='does not put out maps'):
        swap_backbone(old, backbone={'type': 'mmpretrain.VisionTransformer', 'arch': 'base'})
