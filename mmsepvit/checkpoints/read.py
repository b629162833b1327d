"""Reading weights and training states: one reader for all files, which runs no code of theirs.

mmengine reads every file through its `CheckpointLoader`, so the reader is put there, for names of local files. In any
program it reads the weights that a SepViT starts from, and ``.safetensors`` files. Within `reading_safely`, which the
command lines of this project enter, it reads every file. All else that a program reads with mmengine stays as it was.
"""

from __future__ import annotations

import json
import os
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import resources
from math import inf
from pathlib import Path
from typing import Any, BinaryIO

import torch
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    load_from_ceph,
    load_from_http,
    load_from_local,
    load_from_mmcls,
    load_from_openmmlab,
    load_from_pavi,
    load_from_torchvision,
)
from torch import Tensor

from ..errors import UserError, did_you_mean
from ..models.pretrained import reading_for_backbone
from . import unpickling
from .checksums import find_damage
from .widen import widen

PACKAGE_SCHEME = 'mmsepvit://'
"""What stands before the name of weights that this package carries."""
WIDENED = {'sepvit_tiny_widened': ('sepvit_lite_distilled', 3)}
"""Names of weights that are made of those of a narrower model when they are read, and of how many times its width."""


@dataclass
class _Reading:
    trust: bool
    kept: dict[str, Any] = field(default_factory=dict)


_reading: ContextVar[_Reading | None] = ContextVar('reading', default=None)


@contextmanager
def reading_safely(trust: bool = False) -> Iterator[None]:
    """Lets mmengine read every file with this module's reader meanwhile.

    A checkpoint that `read_checkpoint` has read within is handed to the first who loads it by that name, instead of
    being read again.

    Args:
        trust: Whether files may hold objects of any class, and so run code. Defaults to False.
    """
    token = _reading.set(_Reading(trust))
    try:
        yield
    finally:
        _reading.reset(token)


def read_checkpoint(path: str) -> dict[str, Any]:
    """Reads a checkpoint to the CPU and checks that there are weights in it that can be used.

    Args:
        path: A ``.pth`` or ``.safetensors`` file, or another name that mmengine knows.

    Returns:
        The checkpoint, a bare state dict as ``{'state_dict': ...}``, ``meta`` a dict.

    Raises:
        UserError: There is no such file, it cannot be read, or it holds no weights or some that are not finite.
    """
    reading = _reading.get()
    if reading is None:
        with reading_safely():
            return read_checkpoint(path)
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except UserError:
        raise
    except Exception as error:  # of a network, or of what a scheme of mmengine does
        raise UserError(f"checkpoint '{path}' cannot be read ({_reason(error)}).") from None
    checkpoint = _normalized(path, checkpoint)
    reading.kept[path] = checkpoint
    return checkpoint


def _normalized(path: str, checkpoint: Any) -> dict[str, Any]:
    if not isinstance(checkpoint, dict):
        raise UserError(f"checkpoint '{path}' holds a {type(checkpoint).__name__}, not parameters.")
    if isinstance(checkpoint.get('model'), Mapping) and 'state_dict' not in checkpoint:
        checkpoint = {**checkpoint, 'state_dict': checkpoint['model']}
    if 'state_dict' not in checkpoint:
        checkpoint = {'state_dict': checkpoint}
    state = checkpoint['state_dict']
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"checkpoint '{path}' holds no parameters; take a .pth file of a training.")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"checkpoint '{path}' is no state of a model: {name!r} is a {type(value).__name__} "
                'where a name and a tensor should be.'
            )
    name = first_not_finite(state)
    if name is not None:
        raise UserError(
            f"checkpoint '{path}' holds numbers that are not finite, in {name}: its training had failed when it was "
            'saved.\nTake one from before.'
        )
    meta = checkpoint.get('meta')
    if meta is None:
        meta = {}
    if not isinstance(meta, dict):
        raise UserError(f"checkpoint '{path}': its 'meta' is a {type(meta).__name__} instead of a dict.")
    checkpoint['meta'] = meta
    return checkpoint


def first_not_finite(state: Mapping[str, Any]) -> str | None:
    """Name of the first tensor that holds NaN or infinity, None where all are finite.

    Minus infinity is no fault: it is what masks of attention hold.
    """
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and not bool((value < inf).all()):
            return name
    return None


def read_file(path: str | Path, trust: bool = False) -> Any:
    """Reads a ``.pth`` or ``.safetensors`` file to the CPU.

    Args:
        path: The file.
        trust: Whether a ``.pth`` file may hold objects of any class, and so run code. Defaults to False.

    Returns:
        What was saved, for ``.safetensors`` files ``{'state_dict': ..., 'meta': ...}``.

    Raises:
        UserError: There is no such file, it is damaged, of another format, or holds objects of a class that a training
            state does not have.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise UserError(f"checkpoint '{path}' is a folder; name a file in it.")
    if not file.is_file():
        raise UserError(f"checkpoint '{path}' does not exist.{_neighbours(file)}")
    if file.stat().st_size == 0:
        raise UserError(f"checkpoint '{path}' is an empty file; take another one.")
    try:
        if file.suffix == '.safetensors':
            return _read_safetensors(file)
        with file.open('rb') as stream, warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch 2.1 warns of its own code here
            return _read_torch(stream, trust)
    except UserError:
        raise
    except unpickling.UnsafeFileError as error:
        raise UserError(
            f"checkpoint '{path}' holds other objects than tensors and plain values ({error}), and to read them runs "
            'code of the file.\nIf you trust where it comes from, add --trust.'
        ) from None
    except PermissionError:
        raise UserError(f"checkpoint '{path}' must not be read by this user.") from None
    except Exception as error:  # a file of any kind, read as a pickle, raises anything; all of it means the same
        raise UserError(
            f"checkpoint '{path}' cannot be read: it is truncated, damaged or no PyTorch checkpoint "
            f'({_reason(error)}).\nTake another file; a run that was killed while it saved leaves the one before whole.'
        ) from None


def _read_torch(stream: BinaryIO, trust: bool) -> Any:
    if stream.read(4) == b'PK\x03\x04':
        stream.seek(0)
        damaged = zipfile.ZipFile(stream).testzip()  # torch does not look at the checksums that it writes
        if damaged is not None:
            raise ValueError(f'the checksum of {damaged} is wrong')
        stream.seek(0)
        if any(name == 'constants.pkl' for name in torch._C.PyTorchFileReader(stream).get_all_records()):
            raise unpickling.UnsafeFileError('a TorchScript program')  # torch.load would run it
    elif not trust:
        stream.seek(0)
        if tarfile.is_tarfile(stream) and _holds_files(stream):  # a file of zeros is an empty archive
            raise unpickling.UnsafeFileError("the tar format of PyTorch's first versions")
    stream.seek(0)
    options: dict[str, Any] = {} if trust else {'pickle_module': unpickling}
    with _weights_only_by_force(False):  # it refuses any unpickler but torch's own
        return torch.load(stream, map_location='cpu', weights_only=False, **options)


def _holds_files(stream: BinaryIO) -> bool:
    stream.seek(0)
    return tarfile.open(fileobj=stream).next() is not None


@contextmanager
def _weights_only_by_force(value: bool) -> Iterator[None]:
    """Sets the variable that makes every call of `torch.load` a ``weights_only`` one."""
    name = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
    before = os.environ.pop(name, None)
    if value:
        os.environ[name] = '1'
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def _read_safetensors(file: Path) -> dict[str, Any]:
    try:
        from safetensors import safe_open
    except ModuleNotFoundError:
        raise UserError(f"checkpoint '{file}': to read it, install safetensors.") from None
    with safe_open(file, framework='pt', device='cpu') as content:
        meta = dict(content.metadata() or {})
        state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    damage = find_damage(file)
    if damage is not None:
        raise ValueError(damage)
    return {'state_dict': state, 'meta': {key: _parsed(value) for key, value in meta.items()}}


def _parsed(value: str) -> Any:
    """Metadata of safetensors are texts; what is no JSON is one."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def _neighbours(file: Path) -> str:
    if not file.parent.is_dir():
        return ''
    names = sorted(other.name for other in file.parent.iterdir() if other.suffix in ('.pth', '.safetensors'))
    return f' In that folder: {", ".join(names[-3:])}.' if names else ''


def load_from_file(filename: str, map_location: Any = None) -> Any:
    """What mmengine calls for the name of a local file."""
    reading = _reading.get()
    if reading is not None and filename in reading.kept:
        return reading.kept.pop(filename)
    if reading is None and not reading_for_backbone.get() and not filename.endswith('.safetensors'):
        return load_from_local(filename, map_location)
    return read_file(filename, trust=reading is not None and reading.trust)


def load_from_package(filename: str, map_location: Any = None) -> Any:
    """What mmengine calls for ``mmsepvit://NAME``: weights that this package carries."""
    name = filename[len(PACKAGE_SCHEME) :]
    if name in WIDENED:
        narrow, times = WIDENED[name]
        content = load_from_package(PACKAGE_SCHEME + narrow)
        return {**content, 'state_dict': widen(content['state_dict'], times)}
    folder = resources.files('mmsepvit') / 'weights'
    if not (folder / f'{name}.safetensors').is_file():
        files = folder.iterdir() if folder.is_dir() else ()
        names = [Path(file.name).stem for file in files if file.name.endswith('.safetensors')]
        known = sorted([*names, *WIDENED])
        raise UserError(f"'{filename}': this package carries no weights of that name.{did_you_mean(name, known)}")
    with resources.as_file(folder / f'{name}.safetensors') as file:
        return read_file(file)


def _weights_only(load: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """The loader of a remote file of mmengine, which within `reading_safely` makes tensors and plain values only."""

    def load_from_remote(filename: str, map_location: Any = None) -> Any:
        reading = _reading.get()
        safely = reading_for_backbone.get() if reading is None else not reading.trust
        if not safely:
            return load(filename, map_location)
        with _weights_only_by_force(True):
            return load(filename, map_location)

    load_from_remote.__name__ = load.__name__  # mmengine logs it
    return load_from_remote


def register_loaders() -> None:
    """Puts this module's reader in mmengine's `CheckpointLoader`."""
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    CheckpointLoader.register_scheme(PACKAGE_SCHEME, load_from_package, force=True)
    for prefixes, load in (
        (('http://', 'https://'), load_from_http),
        ('pavi://', load_from_pavi),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
        (('modelzoo://', 'torchvision://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
    ):
        CheckpointLoader.register_scheme(prefixes, _weights_only(load), force=True)
