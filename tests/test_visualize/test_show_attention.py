"""The command line that draws the window attention."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import mmsepvit
from mmsepvit.cli.command import run_command
from mmsepvit.cli.show_attention import main
from mmsepvit.configs.load import load_config

CONFIG = mmsepvit.config('sepvit_lite_imagenet')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip('mmpretrain')
    config = load_config(CONFIG)
    init_default_scope('mmpretrain')
    file = tmp_path_factory.mktemp('checkpoint') / 'lite.pth'
    torch.save({'state_dict': MODELS.build(config.model).state_dict()}, file)
    return str(file)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    file = tmp_path / 'photo.jpg'
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    return str(file)


def test_a_picture_a_block_is_written(
    checkpoint: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert run_command(main, [CONFIG, checkpoint, photo, '--out', str(out), '--size', '64', '--point', '0', '1']) == 0
    written = sorted(out.iterdir())
    assert len(written) == 11
    assert sorted(capsys.readouterr().out.split()) == [str(file) for file in written]
    assert all(cv2.imread(str(file)).std() > 0 for file in written)


@pytest.mark.parametrize('which', ['checkpoint', 'photo'])
def test_a_missing_file_is_named(
    which: str, checkpoint: str, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {'checkpoint': checkpoint, 'photo': photo, which: 'nowhere.x'}
    assert run_command(main, [CONFIG, *files.values(), '--out', str(tmp_path / 'out')]) == 2
    assert "'nowhere.x'" in capsys.readouterr().err
