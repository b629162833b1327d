"""``--mini`` leaves out weight files that are not there, and no others."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mmsepvit.configs.mini_weights import leave_out_missing_weights

NORMAL = {'type': 'Normal', 'layer': 'Conv2d'}


def start(file: object) -> dict:
    return {'type': 'Pretrained', 'checkpoint': str(file)}


def test_absent_files_are_left_out(tmp_path: Path) -> None:
    there, absent = tmp_path / 'there.pth', tmp_path / 'absent.pth'
    there.touch()
    model = {
        'backbone': {'init_cfg': start(absent)},
        'neck': {'init_cfg': [NORMAL, start(absent)]},
        'teachers': [{'init_cfg': start(there)}],
        'head': {'init_cfg': start('mmsepvit://sepvit_lite_distilled')},
    }
    config = Config({'model': model, 'load_from': str(absent)})
    assert leave_out_missing_weights(config) == [f'--mini: {absent} is not there, so random weights take its place'] * 3
    assert config.load_from is None
    assert config.model.backbone.init_cfg is None
    assert config.model.neck.init_cfg == [NORMAL]
    assert config.model.teachers[0].init_cfg == start(there)
    assert config.model.head.init_cfg == start('mmsepvit://sepvit_lite_distilled')
