"""The example of docs/own_data.md and the one of the front page, as a reader would run them."""

from __future__ import annotations

import json
import re
import textwrap
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmsepvit.cli.check_data import main as check_data
from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str, indent: str = '') -> list[str]:
    """The blocks of a page in a language; those of a list's items are indented."""
    text = (ROOT / page).read_text(encoding='utf-8')
    found = re.findall(rf'^{indent}```{language}\n(.*?)^{indent}```', text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


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


def write_coco(folder: Path, count: int = 2) -> None:
    """Pictures with a light rectangle, a cat, and a dark one, a dog."""
    (folder / 'images').mkdir(parents=True)
    classes = [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}]
    for split in ('train', 'val'):
        coco = {'info': {}, 'images': [], 'annotations': [], 'categories': classes}
        for i in range(count):
            name = f'{split}_{i}.png'
            image = np.full((96, 128, 3), 120, np.uint8)
            coco['images'].append({'id': i, 'file_name': name, 'width': 128, 'height': 96})
            for category, left in ((1, 10), (2, 70)):
                x0, y0, x1, y1 = left, 20 + 5 * i, left + 40, 70
                image[y0:y1, x0:x1] = 240 if category == 1 else 20
                annotation = {'id': len(coco['annotations']) + 1, 'image_id': i, 'category_id': category, 'iscrowd': 0}
                annotation['bbox'] = [x0, y0, x1 - x0, y1 - y0]
                annotation['area'] = (x1 - x0) * (y1 - y0)
                annotation['segmentation'] = [[x0, y0, x1, y0, x1, y1, x0, y1]]
                coco['annotations'].append(annotation)
            cv2.imwrite(str(folder / 'images' / name), image)
        (folder / f'{split}.json').write_text(json.dumps(coco))


@pytest.mark.slow
def test_own_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip('mmdet')
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / 'my_data')
    (text,) = (block for block in blocks('docs/without_weights.md', 'python', ' {3}') if 'my_data' in block)
    config = tmp_path / 'my_detector.py'
    config.write_text(text.replace('/path/that/was/printed', f'{ROOT}/configs', 1))

    check_data([str(config), '--workers', '0'])
    capsys.readouterr()
    small = [f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')]
    small += [f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')]
    small += ['train_dataloader.dataset.pipeline.2.scale=(128,96)']
    small += [f'{split}_dataloader.dataset.pipeline.1.scale=(128,96)' for split in ('val', 'test')]
    # Without a validation of its own: the test that follows is one.
    short = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=1']
    short += ['default_hooks.checkpoint.save_optimizer=False']
    assert train([str(config), '--auto-scale-lr', '--work-dir', 'run', '--cfg-options', *small, *short]) == 0
    run_test([str(config), 'run/epoch_1.pth', '--work-dir', 'run', '--cfg-options', *small])
    assert 'segm_mAP' in capsys.readouterr().out

    weights = torch.load('run/epoch_1.pth', map_location='cpu', weights_only=False)['state_dict']
    assert weights['roi_head.mask_head.conv_logits.weight'].shape[0] == 2
    with resources.as_file(resources.files('mmsepvit') / 'weights' / 'sepvit_lite_distilled.safetensors') as file:
        name = 'backbone.stages.3.blocks.1.mlp.fc2.weight'
        torch.testing.assert_close(weights[name], load_file(file)[name].float(), rtol=0, atol=1e-3)


@pytest.mark.parametrize('page', ['README.md', 'docs/index.md'])
def test_the_first_six_lines(page: str, capsys: pytest.CaptureFixture) -> None:
    (code,) = blocks(page, 'python')
    exec(compile(code, page, 'exec'), {})
    shapes = re.findall(r'\d+, \d+, \d+, \d+', capsys.readouterr().out)
    assert shapes == ['1, 96, 50, 83', '1, 192, 25, 42', '1, 384, 13, 21', '1, 768, 7, 11']
    text = (ROOT / page).read_text(encoding='utf-8')
    assert all(shape in text for shape in shapes)
