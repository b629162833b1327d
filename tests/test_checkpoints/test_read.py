"""Files are read without running code of theirs, and what is wrong with one is a message."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from safetensors.torch import save_file
from torch import nn

from mmsepvit import SepViT
from mmsepvit.checkpoints.read import read_checkpoint, read_file, reading_safely
from mmsepvit.checkpoints.unpickling import UnsafeFileError, load
from mmsepvit.checkpoints.write import encode_weights
from mmsepvit.errors import UserError

TINY = {'depths': (1,), 'channels': (8,), 'num_heads': (1,), 'window_sizes': ((7,),)}


def sepvit(**options: Any) -> SepViT:
    return SepViT(TINY, out_indices=(0,), **options)


class Call:
    """Calls a function with arguments when it is unpickled."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def training_state() -> dict[str, Any]:
    """Everything that states of mmengine were seen to hold."""
    model = nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    history = HistoryBuffer([1.5, 2.5], [1, 1])
    groups = defaultdict(list)
    groups[0].append(1)
    info = {'best_score': np.float64(3.5), 'names': {'a', 'b'}, 'raw': b'\x00\xff', 'flag': np.bool_(True)}
    meta = {
        'epoch': 1,
        'iter': 2,
        'classes': ('a', 'b'),
        'palette': np.arange(6, dtype=np.uint8).reshape(2, 3),
        'big_endian': np.array([1, 2], '>i4'),
        'text': np.array(['ab', 'c']),
        'groups': groups,
        'dtype': torch.float16,
        'size': torch.Size([1, 2]),
    }
    return {
        'state_dict': model.state_dict(),
        'optimizer': optimizer.state_dict(),
        'message_hub': {'log_scalars': OrderedDict(loss=history), 'runtime_info': info, 'resumed_keys': {'loss': True}},
        'meta': meta,
    }


@pytest.mark.parametrize('new_format', [True, False])
def test_training_state(new_format: bool, tmp_path: Path) -> None:
    saved = training_state()
    torch.save(saved, tmp_path / 'a.pth', _use_new_zipfile_serialization=new_format)
    found = read_file(tmp_path / 'a.pth')
    assert torch.equal(found['state_dict']['weight'], saved['state_dict']['weight'])
    assert found['state_dict']._metadata == saved['state_dict']._metadata
    assert torch.equal(found['optimizer']['state'][0]['exp_avg'], saved['optimizer']['state'][0]['exp_avg'])
    history = found['message_hub']['log_scalars']['loss']
    assert (history.mean(), history.current(), history.max()) == (2.0, 2.5, 2.5)
    assert found['message_hub']['runtime_info'] == saved['message_hub']['runtime_info']
    for key in ('palette', 'big_endian', 'text'):
        np.testing.assert_array_equal(found['meta'].pop(key), saved['meta'].pop(key))
    assert found['meta'] == saved['meta']


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize(
    'function', [os.system, eval, exec, getattr, Path.touch, pickle.loads, torch.load, torch.storage._load_from_bytes]
)
def test_functions_are_not_called(function: Callable, new_format: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / 'a.pth', tmp_path / 'trace'
    argument = trace if function is Path.touch else f'touch {trace}'
    arguments = (Path, 'touch') if function is getattr else (argument,)
    state = {'state_dict': {'weight': torch.zeros(1)}, 'meta': Call(function, *arguments)}
    torch.save(state, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError, match='--trust'):
        read_file(path)
    assert not trace.exists()


def test_trust(tmp_path: Path) -> None:
    torch.save({'state_dict': {'weight': torch.zeros(1)}, 'meta': Call(Path.touch, tmp_path / 'trace')}, tmp_path / 'a')
    read_file(tmp_path / 'a', trust=True)
    assert (tmp_path / 'trace').exists()


@pytest.mark.parametrize('target', ['function', 'class', 'dtype'])
def test_state_of_code_is_not_set(target: str) -> None:
    """A pickle may set attributes of whatever it can name: here of a function, a class and numpy's flags of a type."""
    name, state = {
        'function': (b'ctorch._utils\n_rebuild_tensor_v2\n', (None, {'__defaults__': (1,)})),
        'class': (b'cmmengine.logging.history_buffer\nHistoryBuffer\n', (None, {'mean': 1})),
        'dtype': (b'cnumpy\ndtype\nX\x02\x00\x00\x00i8\x85R', (3, '|', None, None, None, 64, 1, 63)),
    }[target]
    data = b'\x80\x02' + name + pickle.dumps(state, 2)[2:-1] + b'b.'
    with pytest.raises(UnsafeFileError):
        load(io.BytesIO(data))


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    torch.save({'a': np.array([None, 'b'], dtype=object)}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='numpy'):
        read_file(tmp_path / 'a.pth')


def test_programs_are_refused(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / 'script.pth'))
    with pytest.raises(UserError, match='TorchScript'):
        read_file(tmp_path / 'script.pth')
    with tarfile.open(tmp_path / 'old.pth', 'w') as tar:
        tar.add(tmp_path / 'script.pth', 'storages')
    with pytest.raises(UserError, match='tar format'):
        read_file(tmp_path / 'old.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_flipped_bits_are_found_or_change_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f'a{suffix}'
    state = {'state_dict': {'a': torch.arange(100.0), 'b': torch.ones(3)}, 'meta': {'iter': 3}}
    path.write_bytes(encode_weights(state['state_dict'], state['meta'], suffix))
    whole = path.read_bytes()
    draws = random.Random(0)
    found = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[draws.randrange(len(whole))] ^= 1 << draws.randrange(8)
        path.write_bytes(damaged)
        try:
            read = read_file(path)
        except UserError as error:
            found += path.name in str(error)
        else:
            assert read['meta']['iter'] == 3
            assert read['state_dict'].keys() == state['state_dict'].keys()
            assert all(torch.equal(read['state_dict'][name], value) for name, value in state['state_dict'].items())
    assert found > 75  # the others hit what pads a file


@pytest.mark.parametrize('half', [False, True])
def test_safetensors(half: bool, tmp_path: Path) -> None:
    path = tmp_path / 'a.safetensors'
    weights = {'a': torch.arange(6.0).reshape(2, 3).t(), 'b': torch.ones(2)}
    weights = {name: weight.half() if half else weight for name, weight in weights.items()}
    path.write_bytes(encode_weights(weights, {'arch': 'lite', 'classes': ['x', 'y'], 'step': 3}, path.suffix))
    read = read_checkpoint(str(path))
    assert all(torch.equal(read['state_dict'][name], weight) for name, weight in weights.items())
    assert {key: read['meta'][key] for key in ('arch', 'classes', 'step')} == {
        'arch': 'lite',
        'classes': ['x', 'y'],
        'step': 3,
    }
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match='checksum'):
        read_checkpoint(str(path))
    path.write_bytes(damaged[:-3])
    with pytest.raises(UserError, match='truncated'):
        read_checkpoint(str(path))


class TestBackboneStart:
    """``init_cfg`` in any program, outside of this project's command lines."""

    def test_runs_no_code(self, tmp_path: Path) -> None:
        state = {'state_dict': sepvit().state_dict(), 'meta': Call(Path.touch, tmp_path / 'trace')}
        torch.save(state, tmp_path / 'a.pth')
        model = sepvit(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'a.pth')})
        with pytest.raises(UserError, match='--trust'):
            model.init_weights()
        assert not (tmp_path / 'trace').exists()

    @pytest.mark.parametrize('prefix', ['', 'backbone.'])
    def test_safetensors(self, prefix: str, tmp_path: Path) -> None:
        weights = {f'{prefix}{name}': torch.full_like(value, 0.5) for name, value in sepvit().state_dict().items()}
        save_file(weights, tmp_path / 'a.safetensors')
        init = {'type': 'Pretrained', 'checkpoint': str(tmp_path / 'a.safetensors')}
        model = sepvit(init_cfg={**init, 'prefix': prefix} if prefix else init)
        model.init_weights()
        assert all(bool((value == 0.5).all()) for value in model.state_dict().values())

    def test_unknown_weights_of_the_package(self) -> None:
        model = sepvit(init_cfg={'type': 'Pretrained', 'checkpoint': 'mmsepvit://nothing'})
        with pytest.raises(UserError, match='mmsepvit://nothing'):
            model.init_weights()


def test_other_programs_read_as_before(tmp_path: Path) -> None:
    """A class of the program's own, as mmengine 0.10.7 on torch 2.1 reads it: nothing but safetensors is new."""
    torch.save({'state_dict': {'weight': torch.ones(1, 1), 'bias': torch.ones(1)}, 'mine': Path('a')}, tmp_path / 'a')
    assert load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'a'))['mine'] == Path('a')
    save_file({'weight': torch.ones(1, 1), 'bias': torch.ones(1)}, tmp_path / 'a.safetensors')
    model = nn.Linear(1, 1)
    load_checkpoint(model, str(tmp_path / 'a.safetensors'))
    assert model.weight.item() == 1


def test_within_reading_safely_mmengine_runs_no_code(tmp_path: Path) -> None:
    torch.save({'state_dict': {}, 'meta': Call(Path.touch, tmp_path / 'trace')}, tmp_path / 'a.pth')
    with reading_safely(), pytest.raises(UserError, match='--trust'):
        load_checkpoint(nn.Linear(1, 1), str(tmp_path / 'a.pth'))
    assert not (tmp_path / 'trace').exists()


def test_checkpoint_is_read_once(tmp_path: Path) -> None:
    path = str(tmp_path / 'a.pth')
    torch.save({'state_dict': {'weight': torch.ones(1)}}, path)
    with reading_safely():
        first = read_checkpoint(path)
        Path(path).unlink()
        assert CheckpointLoader.load_checkpoint(path, logger='silent') is first
        with pytest.raises(UserError, match='does not exist'):  # handed on once, not held for the whole training
            read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ([torch.zeros(1)], 'a list'),
        ({'state_dict': {'a': torch.zeros(1), 'b': 'text'}}, "'b' is a str"),
        ({'state_dict': {'a': torch.zeros(1), 3: torch.zeros(1)}}, '3 is a Tensor'),
        ({'state_dict': None}, 'no parameters'),
        ({'state_dict': {'a': torch.zeros(1)}, 'meta': [1]}, "'meta' is a list"),
        ({'state_dict': {'a': torch.tensor([0.0, float('nan')])}}, 'not finite, in a'),
        ({'state_dict': {'a': torch.tensor([float('inf')], dtype=torch.bfloat16)}}, 'not finite, in a'),
    ],
)
def test_odd_checkpoints(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=words):
        read_checkpoint(str(tmp_path / 'a.pth'))


def test_masks_and_absent_meta_are_fine(tmp_path: Path) -> None:
    torch.save({'state_dict': {'mask': torch.tensor([0.0, float('-inf')])}, 'meta': None}, tmp_path / 'a.pth')
    assert read_checkpoint(str(tmp_path / 'a.pth'))['meta'] == {}
