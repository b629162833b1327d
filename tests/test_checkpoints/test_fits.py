"""Weights that a config's SepViT starts from are checked before anything is built, however ``init_cfg`` is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import PretrainedInit

from mmsepvit import SepViT
from mmsepvit.checkpoints.fits import check_pretrained
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
