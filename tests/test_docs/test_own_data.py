"""The example of docs/own_data.md and the one of the front page, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmsepvit.cli.check_data import main as check_data
from mmsepvit.cli.train import main as train

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding='utf-8')
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def write_fields(folder: Path) -> None:
    """Pictures of four bands whose lower part is another class, and a corner without a label."""
    random = np.random.default_rng(0)
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (folder / kind / split).mkdir(parents=True)
        for i in range(2):
            label = np.zeros((320, 320), np.uint8)
            label[100 + 30 * i :] = 1
            label[:, 280:] = 2
            label[:20, :20] = 255
            noise = random.integers(0, 60, (320, 320, 4), dtype=np.uint8)
            image = noise + (60 * np.minimum(label, 2))[..., None].astype(np.uint8)
            cv2.imwrite(str(folder / 'images' / split / f'{i}.png'), image)
            cv2.imwrite(str(folder / 'labels' / split / f'{i}.png'), label)


def test_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    write_fields(tmp_path / 'data' / 'fields')
    (text,) = blocks('docs/own_data.md', 'python')
    base = "_base_ = './"
    assert text.startswith(base)
    config = tmp_path / 'my_segmentor.py'
    config.write_text(text.replace(base, f"_base_ = '{ROOT}/configs/", 1))

    check_data([str(config), '--workers', '0'])  # ends with an exit code where there are faults
    capsys.readouterr()
    options = ['model.decode_head.channels=32', 'train_dataloader.batch_size=2', 'train_cfg.max_iters=2']
    options += ['train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']
    options += [f'{split}_dataloader.num_workers=0' for split in ('train', 'val')]
    assert train([str(config), '--auto-scale-lr', '--work-dir', 'run', '--cfg-options', *options]) == 0

    weights = torch.load('run/iter_2.pth', map_location='cpu', weights_only=False)['state_dict']
    assert weights['backbone.stages.0.patch_embed.proj.weight'].shape[1] == 4
    for head in ('decode_head', 'auxiliary_head'):
        assert weights[f'{head}.conv_seg.weight'].shape[0] == 3
    assert re.search(r'crop .*', capsys.readouterr().out), 'the table of classes names them'


@pytest.mark.parametrize('page', ['README.md', 'docs/index.md'])
def test_the_first_six_lines(page: str, capsys: pytest.CaptureFixture) -> None:
    (code,) = blocks(page, 'python')
    exec(compile(code, page, 'exec'), {})
    shapes = re.findall(r'\d+, \d+, \d+, \d+', capsys.readouterr().out)
    assert shapes == ['1, 96, 50, 83', '1, 192, 25, 42', '1, 384, 13, 21', '1, 768, 7, 11']
    text = (ROOT / page).read_text(encoding='utf-8')
    assert all(shape in text for shape in shapes)
