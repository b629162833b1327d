"""Weights for others: what the file holds, its name, and that nothing is written over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from mmsepvit import SepViT
from mmsepvit.checkpoints.read import read_checkpoint
from mmsepvit.cli.command import run_command
from mmsepvit.cli.publish_model import main as publish


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = {f'backbone.{name}': value for name, value in SepViT('lite', out_indices=(3,)).state_dict().items()}
    state['head.fc.weight'] = torch.ones(2, 256)
    state['head.counter'] = torch.tensor(7)
    trained = {f'module.{name}': value + 1 for name, value in state.items()}
    content = {
        'state_dict': state,
        'ema_state_dict': {'steps': torch.tensor(3), **trained},
        'optimizer': {'state': {0: torch.zeros(9)}},
        'meta': {
            'iter': 12,
            'experiment_name': 'sepvit_lite_imagenet_20260102_030405',
            'dataset_meta': {'classes': ('cat', 'dog')},
        },
    }
    torch.save(content, tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_file(suffix: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'out'
    out.mkdir()
    assert run_command(publish, [str(checkpoint), str(out / f'lite{suffix}'), '--dtype', 'fp16']) == 0
    (file,) = out.iterdir()
    assert file.name == f'lite-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}{suffix}'
    assert file.name in capsys.readouterr().out
    read = read_checkpoint(str(file))
    assert {'state_dict', 'meta'} == read.keys()
    wanted = torch.load(checkpoint, weights_only=True)['state_dict']
    assert read['state_dict'].keys() == wanted.keys()
    for name, value in read['state_dict'].items():
        assert value.dtype == (torch.float16 if wanted[name].is_floating_point() else torch.int64)
        torch.testing.assert_close(value, wanted[name].to(value.dtype), rtol=0, atol=0)
    meta = {
        key: value for key, value in read['meta'].items() if key not in ('sha256', 'header_sha256', 'mmsepvit_version')
    }
    assert meta == {
        'arch': 'lite',
        'task': 'classification',
        'config': 'sepvit_lite_imagenet',
        'step': 12,
        'classes': ['cat', 'dog'],
    }
    # the same again is the same file, and is not written over
    assert run_command(publish, [str(checkpoint), str(out / f'lite{suffix}'), '--dtype', 'fp16']) == 2
    assert 'exists already' in capsys.readouterr().err


def test_trained_weights_of_a_training_with_averages(checkpoint: Path, tmp_path: Path) -> None:
    publish([str(checkpoint), str(tmp_path / 'a.safetensors'), '--weights', 'trained'])
    (file,) = tmp_path.glob('a-*.safetensors')
    assert bool((read_checkpoint(str(file))['state_dict']['head.fc.weight'] == 2).all())


@pytest.mark.parametrize(
    ('change', 'options', 'words'),
    [
        ({'ema_state_dict': None}, ['--weights', 'trained'], 'without EMA'),
        ({'state_dict': {'backbone.a': torch.tensor([1e30])}}, ['--dtype', 'fp16'], 'too large for fp16'),
        ({'state_dict': {'backbone.a': torch.tensor([float('nan')])}}, [], 'not finite'),
    ],
)
def test_refused(
    change: dict, options: list[str], words: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    content = {**torch.load(checkpoint, weights_only=True), **change}
    torch.save({key: value for key, value in content.items() if value is not None}, checkpoint)
    assert run_command(publish, [str(checkpoint), str(tmp_path / 'a.pth'), *options]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [checkpoint]
