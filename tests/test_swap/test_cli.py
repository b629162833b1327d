"""`tools/swap_backbone.py`: the summary, the written file, the messages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmsepvit.cli.command import run_command
from mmsepvit.cli.swap_backbone import main
from mmsepvit.configs.swap import swap_backbone
from mmsepvit.models import SepViT

SOURCE = 'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024'


@pytest.mark.parametrize('suffix', ['py', 'yml'])
def test_written_config_loads_and_equals(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    """Tuples too: transforms refuse lists in their place."""
    out = tmp_path / 'new' / f'fpn.{suffix}'
    main([SOURCE, '--arch', 'small', '--out', str(out), '--set', 'with_cp=True', 'drop_path_rate=0.1'])
    expected = swap_backbone(SOURCE, 'small', with_cp=True, drop_path_rate=0.1)
    assert Config.fromfile(out).to_dict() == expected.to_dict()
    text = capsys.readouterr().out
    assert '- [256, 512, 1024, 2048]\n    + [96, 192, 384, 768]' in text


def test_a_written_config_says_its_price_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([SOURCE, '--out', str(tmp_path / 'fpn.py')])
    comments = [line for line in (tmp_path / 'fpn.py').read_text().splitlines() if line.startswith('#')]
    summary = capsys.readouterr().out
    for line in comments[1:]:
        assert line[2:] in summary
    (price,) = (line for line in comments if line.startswith('# price: model:'))
    # The backbone's 30.4 M instead of ResNet-50's 23.5, of which the FPN reads narrower maps.
    before, after = (float(number) for number in re.search(r'([\d.]+) -> ([\d.]+) M parameters', price).groups())
    assert before == pytest.approx(28.5, abs=0.1)
    assert after == pytest.approx(38.8 - 0.77, abs=0.1)  # the paper's, less its unused classifier
    assert 'strides 4, 8, 16, 32 -> 4, 8, 16, 32' in price
    assert any('AdamW' in line for line in comments)


def test_recipe_pretrained_and_another_backbone(tmp_path: Path) -> None:
    out = tmp_path / 'new.py'
    main([SOURCE, '--recipe', 'keep', '--out', str(out)])
    assert Config.fromfile(out).optim_wrapper.optimizer.type == 'SGD'
    weights = tmp_path / 'weights.pth'
    torch.save({f'backbone.{k}': v for k, v in SepViT('lite').state_dict().items()}, weights)
    main([SOURCE, '--arch', 'lite', '--pretrained', str(weights), '--out', str(out)])
    assert Config.fromfile(out).model.backbone.init_cfg.prefix == 'backbone.'
    main([str(out), '--backbone', 'mmpretrain.ResNet:depth=18,out_indices=(3,)', '--out', str(out)])
    assert Config.fromfile(out).model.neck.in_channels == [64, 128, 256, 512]


def test_from_another_folder_without_an_import(tmp_path: Path, repo_root: Path) -> None:
    command = [sys.executable, str(repo_root / 'tools' / 'swap_backbone.py'), SOURCE, '--arch', 'lite', '--out', 'a.py']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 'model.neck.in_channels' in done.stdout
    assert Config.fromfile(tmp_path / 'a.py').model.backbone.arch == 'lite'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco'], 'hourglass'),
        ([SOURCE, '--arch', 'huge'], 'huge'),
        ([SOURCE, '--set', 'nonsense=1'], 'nonsense'),
        ([SOURCE, '--set', 'arch=small'], '--arch'),
        (['nowhere.py'], 'does not exist'),
        ([SOURCE, '--out', 'config.txt'], 'config.txt'),
        ([SOURCE, '--out', 'config.json'], 'no tuples'),
        ([SOURCE, '--set', 'recipe=keep'], '--recipe'),
        ([SOURCE, '--recipe', 'swin'], 'swin'),
        ([SOURCE, '--pretrained', 'nowhere.pth'], 'does not exist'),
        ([SOURCE, '--backbone', 'mmpretrain.Nothing:arch=tiny'], 'no registry'),
        ([SOURCE, '--backbone', 'mmpretrain.ResNet:18'], 'KEY=VALUE'),
    ],
)
def test_mistakes_end_with_a_message(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if '--out' not in arguments:
        arguments = [*arguments, '--out', 'never.py']
    try:
        code = run_command(main, arguments)
    except SystemExit as end:  # the parser's
        code = end.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert len(error.strip().split('\n')) <= 3
    assert not list(tmp_path.iterdir())
