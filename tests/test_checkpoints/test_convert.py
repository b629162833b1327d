"""The command line that converts checkpoint files."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kinds import published
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmsepvit import convert_official_state_dict
from mmsepvit.cli.command import run_command
from mmsepvit.cli.convert_checkpoint import main as convert_checkpoint


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.fixture(scope='module')
def source() -> dict[str, Tensor]:
    return published('classification', 'lite')


def test_file_is_tensors_alone(source: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    torch.save({'model': {f'module.{name}': weight for name, weight in source.items()}, 'epoch': 299}, src)
    assert run_command(convert_checkpoint, [str(src), str(dst)]) == 0

    content = torch.load(dst, weights_only=True)
    expected = convert_official_state_dict(source)
    assert content['state_dict'].keys() == expected.keys()
    assert all(torch.equal(content['state_dict'][name], expected[name]) for name in expected)
    assert (content['meta']['arch'], content['meta']['kind']) == ('lite', 'classification')
    assert sorted(tmp_path.iterdir()) == [dst, src]

    out = capsys.readouterr().out
    assert 'SepViT lite, classification with 1000 classes, 190 tensors, 3.66 M parameters' in out
    assert '26 parameters keep their initial values' in out


def test_safetensors_are_read(source: dict[str, Tensor], tmp_path: Path) -> None:
    src, dst = tmp_path / 'src.safetensors', tmp_path / 'dst.safetensors'
    save_file(source, src)
    assert run_command(convert_checkpoint, [str(src), str(dst)]) == 0
    written = load_file(dst)
    assert written.keys() == convert_official_state_dict(source).keys()
    assert torch.equal(written['head.fc.bias'], source['head.bias'])


def test_half_precision_view_is_written_small(source: dict[str, Tensor], tmp_path: Path) -> None:
    """Tensors that are parts of a large one, as in a file cut out of a training."""
    large = torch.zeros(len(source), max(weight.numel() for weight in source.values()), dtype=torch.float16)
    views = {name: row[: w.numel()].view_as(w).copy_(w) for row, (name, w) in zip(large, source.items())}
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    torch.save(views, src)
    convert_checkpoint([str(src), str(dst)])
    assert src.stat().st_size > 10 * dst.stat().st_size
    assert {weight.dtype for weight in torch.load(dst)['state_dict'].values()} == {torch.float16}


def test_dense(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save(published('dense', 'tiny'), tmp_path / 'src.pth')
    convert_checkpoint([str(tmp_path / 'src.pth'), str(tmp_path / 'dst.pth')])
    out = capsys.readouterr().out
    assert 'SepViT tiny, dense, 208 tensors, 33.66 M parameters' in out
    assert 'initial values' not in out


def test_other_objects_need_trust(source: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    src, dst, trace = tmp_path / 'src.pth', tmp_path / 'dst.pth', tmp_path / 'trace'
    torch.save({'model': source, 'args': argparse.Namespace(lr=1e-3), 'trap': Trap(trace)}, src)
    assert run_command(convert_checkpoint, [str(src), str(dst)]) == 2
    error = capsys.readouterr().err
    assert 'holds other objects than tensors and plain values (argparse.Namespace)' in error
    assert '--trust' in error
    assert sorted(tmp_path.iterdir()) == [src]

    assert run_command(convert_checkpoint, [str(src), str(dst), '--trust']) == 0
    assert trace.exists()
    assert len(torch.load(dst, weights_only=True)['state_dict']) == 190


def _write(path: Path, what: str, source: dict[str, Tensor]) -> None:
    if what == 'text':
        path.write_text('a text, and no checkpoint\n' * 40)
    elif what == 'empty':
        path.touch()
    elif what == 'folder':
        path.mkdir()
    elif what == 'truncated':
        torch.save(source, path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif what == 'list':
        torch.save([torch.zeros(1)], path)
    elif what == 'no tensors':
        torch.save({'model': {'norm.weight': 1.0}}, path)
    elif what == 'converted':
        torch.save({'state_dict': convert_official_state_dict(source)}, path)
    elif what == 'other model':
        torch.save({'conv1.weight': torch.zeros(1)}, path)
    elif what == 'incomplete':
        torch.save({name: weight for name, weight in source.items() if name != 'blocks.2.0.mlp.fc1.bias'}, path)
    elif what == 'stage missing':
        torch.save({name: weight for name, weight in source.items() if '.3.' not in name[:14]}, path)
    elif what == 'not finite':
        torch.save({**source, 'norm.bias': torch.full_like(source['norm.bias'], float('nan'))}, path)


@pytest.mark.parametrize(
    ('what', 'message'),
    [
        ('nothing', 'does not exist'),
        ('folder', 'is a folder'),
        ('text', 'cannot be read: it is truncated, damaged or no PyTorch checkpoint'),
        ('empty', 'is an empty file'),
        ('truncated', 'cannot be read: it is truncated, damaged or no PyTorch checkpoint'),
        ('list', 'holds a list, not parameters'),
        ('no tensors', 'holds no parameters'),
        ('converted', 'is not a parameter of a published SepViT checkpoint'),
        ('other model', "'conv1.weight' is not a parameter of a published SepViT checkpoint"),
        ('incomplete', 'stages.2.blocks.0.mlp.fc1.bias'),
        ('stage missing', 'has not the depths and channels of SepViT'),
        ('not finite', 'not finite, in norm.bias'),
    ],
)
def test_bad_source(
    what: str, message: str, source: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    src, dst = tmp_path / 'src.pth', tmp_path / 'dst.pth'
    _write(src, what, source)
    assert run_command(convert_checkpoint, [str(src), str(dst)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert 'src.pth' in error
    assert len(error.splitlines()) <= 3
    assert not [path for path in tmp_path.iterdir() if path != src]


@pytest.mark.parametrize(
    ('dst', 'message'),
    [
        ('there.pth', 'exists already'),
        ('weights.npz', 'must end in .pth, .pt or .safetensors'),
        ('no_folder/dst.pth', 'there is no folder'),
    ],
)
def test_bad_destination(
    dst: str, message: str, source: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    torch.save(source, tmp_path / 'src.pth')
    (tmp_path / 'there.pth').write_text('mine')
    assert run_command(convert_checkpoint, [str(tmp_path / 'src.pth'), str(tmp_path / dst)]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / 'there.pth').read_text() == 'mine'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['src.pth', 'there.pth']


def test_script(source: dict[str, Tensor], tmp_path: Path, repo_root: Path) -> None:
    torch.save(source, tmp_path / 'src.pth')
    command = [sys.executable, repo_root / 'tools' / 'convert_checkpoint.py', 'src.pth', 'dst.pth']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'dst.pth').is_file()
