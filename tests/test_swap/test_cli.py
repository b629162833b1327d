"""`tools/swap_backbone.py`: the summary, the written file, the messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsepvit.cli.swap_backbone import main
from mmsepvit.configs.swap import swap_backbone

SOURCE = 'mmseg::sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024'


@pytest.mark.parametrize('suffix', ['py', 'json'])
def test_written_config_loads_and_equals(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    out = tmp_path / 'new' / f'fpn.{suffix}'
    assert main([SOURCE, '--arch', 'small', '--out', str(out), '--set', 'with_cp=True', 'drop_path_rate=0.1']) == 0
    written = Config.fromfile(out)
    expected = swap_backbone(SOURCE, 'small', with_cp=True, drop_path_rate=0.1)
    if suffix == 'py':
        assert written.to_dict() == expected.to_dict()
    else:  # JSON knows no tuples
        assert written.model.neck.in_channels == expected.model.neck.in_channels
        assert written.model.backbone.with_cp is True
    text = capsys.readouterr().out
    assert '- [256, 512, 1024, 2048]\n    + [96, 192, 384, 768]' in text


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
    ],
)
def test_mistakes_end_with_a_message(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if '--out' not in arguments:
        arguments = [*arguments, '--out', 'never.py']
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert message in error
    assert len(error.strip().split('\n')) <= 3
    assert not list(tmp_path.iterdir())
