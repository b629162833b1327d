"""Checkpoint files that are damaged, odd or hostile: every way to read one says so in a message and runs no code."""

from __future__ import annotations

import copy
import gzip
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from long_runs import load
from safetensors.torch import save_file
from small_runs import short_options, small_config
from torch import nn

from mmsepvit.cli.command import run_command
from mmsepvit.cli.test import main as run_test
from mmsepvit.cli.train import main as train

WEIGHT = 'decode_head.conv_seg.weight'


class Touches:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ('touch trace',)


class OwnClass(nn.Module):
    """A class of the program that has saved a whole model."""


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path, dict], None]:
    return lambda path, _: path.write_bytes(change(path.read_bytes()))


def _saved(change: Callable[[dict], Any], **options: Any) -> Callable[[Path, dict], None]:
    """Saves what a change of the checkpoint returns, or the changed checkpoint itself."""

    def write(path: Path, checkpoint: dict) -> None:
        result = change(checkpoint)
        torch.save(checkpoint if result is None else result, path, **options)

    return write


def _set(*keys: Any, value: Any) -> Callable[[Path, dict], None]:
    """Sets one of the checkpoint's values, however deep."""

    def change(checkpoint: dict) -> None:
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        checkpoint[keys[-1]] = value

    return _saved(change)


def _flip(place: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        position = int(place * len(data))
        return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

    return flip


def _flip_in_weights(path: Path, _: dict) -> None:
    """Flips a bit of the largest tensor; elsewhere it may be in the room between two, and change nothing."""
    with zipfile.ZipFile(path) as file:
        largest = max(file.infolist(), key=lambda info: info.file_size)
    data = path.read_bytes()
    header = data[largest.header_offset :]
    begin = 30 + int.from_bytes(header[26:28], 'little') + int.from_bytes(header[28:30], 'little')
    position = largest.header_offset + begin + largest.file_size // 2
    path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])


def _zip_of_text(path: Path, _: dict) -> None:
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('a.txt', 'a')


def _tar(path: Path, _: dict) -> None:
    with tarfile.open(path, 'w') as file:
        file.add(__file__, 'pickle')


def _folder(path: Path, _: dict) -> None:
    path.unlink()
    path.mkdir()


def _link_to_itself(path: Path, _: dict) -> None:
    path.unlink()
    path.symlink_to(path)


def _pipe(path: Path, _: dict) -> None:
    path.unlink()
    os.mkfifo(path)


def _program(path: Path, _: dict) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(path))


def _half_of_the_weights(checkpoint: dict) -> None:
    state = checkpoint['state_dict']
    for name in list(state)[::2]:
        del state[name]


def _prefixed(checkpoint: dict) -> None:
    checkpoint['state_dict'] = {f'model.{name}': value for name, value in checkpoint['state_dict'].items()}


def _whole_model(checkpoint: dict) -> Any:
    return OwnClass()


BAD: dict[str, Callable[[Path, dict], None]] = {
    'not there': lambda path, _: path.unlink(),
    'empty': _bytes(lambda data: b''),
    'half': _bytes(lambda data: data[: len(data) // 2]),
    'without its end': _bytes(lambda data: data[:-20]),
    'without its begin': _bytes(lambda data: data[100:]),
    'a hundred bytes': _bytes(lambda data: data[:100]),
    'zeros': _bytes(lambda data: bytes(len(data))),
    'zeros in the middle': _bytes(lambda data: data[:40000] + bytes(4096) + data[44096:]),
    'a bit': _flip_in_weights,
    'text': _bytes(lambda data: b'<html>quota exceeded</html>'),
    'a number': _bytes(lambda data: b'\x80\x02K\x05.'),
    'gzip': _bytes(gzip.compress),
    'json': _bytes(lambda data: json.dumps({'state_dict': {}}).encode()),
    'pointer of Git LFS': _bytes(lambda data: b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
    'zip of a text': _zip_of_text,
    'tar': _tar,
    'folder': _folder,
    'link to itself': _link_to_itself,
    'pipe': _pipe,
    'TorchScript': _program,
    'plain pickle that runs code': lambda path, _: path.write_bytes(pickle.dumps(Touches())),
    'runs code': _set('meta', 'note', value=Touches()),
    'runs code, old format': _saved(lambda c: c['meta'].update(a=Touches()), _use_new_zipfile_serialization=False),
    'runs code in place of a weight': _set('state_dict', WEIGHT, value=Touches()),
    'a whole model': _saved(_whole_model),
    'array of objects': _set('meta', 'note', value=np.array([None], dtype=object)),
    'list': _saved(lambda checkpoint: [1, 2]),
    'empty dict': _saved(lambda checkpoint: {}),
    'no state dict': _set('state_dict', value=None),
    'empty state dict': _set('state_dict', value={}),
    'text as a weight': _set('state_dict', WEIGHT, value='text'),
    'array as a weight': _set('state_dict', WEIGHT, value=np.zeros(3)),
    'number as a name': _set('state_dict', 3, value=torch.zeros(3)),
    'meta is a list': _set('meta', value=[1]),
    'NaN': _set('state_dict', WEIGHT, value=torch.full((150, 8, 1, 1), float('nan'))),
    'infinity': _set('state_dict', WEIGHT, value=torch.full((150, 8, 1, 1), float('inf'), dtype=torch.bfloat16)),
    'prefixed names': _saved(_prefixed),
}
"""Files that nothing can be done with."""

NO_STATE = {
    'half of the weights': _saved(_half_of_the_weights),
    'another shape': _set('state_dict', WEIGHT, value=torch.zeros(151, 8, 1, 1)),
    'no optimizer': _saved(lambda checkpoint: checkpoint.pop('optimizer') and None),
    'optimizer is None': _set('optimizer', value=None),
    'optimizer is a list': _set('optimizer', value=[1]),
    'optimizer without groups': _set('optimizer', 'param_groups', value=[]),
    'optimizer state of another shape': _set('optimizer', 'state', 0, 'exp_avg', value=torch.zeros(7)),
    'optimizer state is a text': _set('optimizer', 'state', value='text'),
    'optimizer groups are numbers': _set('optimizer', 'param_groups', value=[1]),
    'iter is a text': _set('meta', 'iter', value='3'),
    'iter is negative': _set('meta', 'iter', value=-1),
    'epoch is a fraction': _set('meta', 'epoch', value=0.5),
    'seed is a text': _set('meta', 'seed', value='abc'),
    'no meta': _set('meta', value=None),
    'no message hub': _set('message_hub', value=None),
    'message hub of numbers': _set('message_hub', value={'log_scalars': 1, 'runtime_info': 2, 'resumed_keys': 3}),
    'schedulers are numbers': _set('param_schedulers', value=[1]),
    'schedulers are a text': _set('param_schedulers', value='text'),
    'gradients are a text': _set('gradients', value='text'),
}
"""Files without the state of a training, or with one that cannot be gone on with."""

WAYS = ('test', 'resume', 'load_from', 'init_cfg')
ROWS = [(name, way) for name in BAD for way in WAYS] + [(name, 'resume') for name in NO_STATE]


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'way'), ROWS)
def test_bad_file_is_a_message(
    name: str,
    way: str,
    trained: Callable[[str], Path],
    in_mini_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    path = tmp_path / 'bad.pth'
    path.write_bytes((trained('seg') / 'iter_2.pth').read_bytes())
    {**BAD, **NO_STATE}[name](path, copy.deepcopy(load(trained('seg') / 'iter_2.pth')))
    words = [small_config('seg'), *([str(path)] if way == 'test' else [])]
    words += ['--mini', '--work-dir', str(tmp_path / 'work')]
    words += ['--resume', str(path)] if way == 'resume' else []
    words += ['--cfg-options', *short_options('seg', training=way != 'test')]
    if way == 'resume':
        words += ['train_cfg.max_iters=3']
    elif way == 'load_from':
        words += [f'load_from={path}']
    elif way == 'init_cfg':
        words += ['model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={path}']
        words += ['model.backbone.init_cfg.prefix=backbone.']
    code = run_command(run_test if way == 'test' else train, words)
    message = capsys.readouterr().err.strip()
    lines = message[message.rindex('error: ') :].splitlines() if 'error: ' in message else []
    print(f'bad file: {name:34}{way:10}{code} {" | ".join(lines)}')
    assert code == 2
    assert 1 <= len(lines) <= 3
    assert 'bad.pth' in lines[0]
    assert 'Traceback' not in message
    assert not Path('trace').exists()
    assert not list(tmp_path.glob('work/*.pth'))


@pytest.mark.slow
@pytest.mark.parametrize('how', ['half', 'header', 'a bit', 'other file'])
def test_bad_safetensors_file_is_a_message(
    how: str, trained: Callable[[str], Path], in_mini_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from mmsepvit.checkpoints.write import encode_weights

    path = tmp_path / 'bad.safetensors'
    state = load(trained('seg') / 'iter_2.pth')['state_dict']
    data = encode_weights(state, {}, path.suffix)
    if how == 'other file':
        save_file({'a': torch.zeros(3)}, path)
    else:
        path.write_bytes(
            {'half': data[: len(data) // 2], 'header': b'\xff' * 8 + data[8:], 'a bit': _flip(0.9)(data)}[how]
        )
    words = [small_config('seg'), str(path), '--mini', '--work-dir', str(tmp_path / 'work')]
    assert run_command(run_test, words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    print(f'bad file: {how:34}safetensors 2 {" | ".join(lines)}')
    assert len(lines) <= 3
    assert 'bad.safetensors' in lines[0]
