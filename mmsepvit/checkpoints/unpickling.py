"""A ``pickle_module`` for `torch.load` that makes tensors and plain values only, and so runs no code of a file.

torch has such an unpickler itself (``weights_only=True``). In torch 2.1 it knows no class but its own, while a training
state of mmengine holds the histories of its losses and numbers of numpy, and it runs TorchScript archives. This one
does the same on every version of torch. Three rules hold:

* A name in the file stands for what `_allowed` gives for it, and for nothing else. Nothing is imported by name.
* Everything in that table makes a value of its arguments and does nothing more, whatever the arguments are.
* The file sets the state of objects that it made itself and that only hold data; never of a class or a function.
"""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, defaultdict, deque
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class UnsafeFileError(pickle.UnpicklingError):
    """The file holds an object of a class that is not allowed; the message is the name of that class."""


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    """Bytes as pickle's protocol 2 writes them: a text of their codes."""
    return text.encode('latin1')


def _dtype(code: str, *_: object) -> np.dtype:
    """A numpy type of numbers, truth values or text; those of objects and structures would bring pointers and flags."""
    dtype = np.dtype(code, False, True)  # a copy, whose byte order the file sets afterwards
    if dtype.kind not in 'biufcSU':
        raise UnsafeFileError(f'numpy.dtype({code!r})')
    return dtype


def _empty_array(*_: object) -> np.ndarray:
    return np.ndarray((0,), 'b')


def _scalar(dtype: np.dtype, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype, 1)[0]


def _method(cls: Any, name: str) -> Any:
    """A statistic of a history of losses, whose state names its own methods by ``getattr``."""
    if cls is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnsafeFileError('getattr')
    return getattr(cls, name)


@lru_cache(maxsize=1)
def _allowed() -> dict[str, Any]:
    """What a name in a file stands for."""
    table: dict[str, Any] = {
        'collections.Counter': Counter,
        'collections.OrderedDict': OrderedDict,
        'collections.defaultdict': defaultdict,
        'collections.deque': deque,
        '_codecs.encode': _encode,
        'pathlib.PosixPath': PurePosixPath,
        'pathlib._local.PosixPath': PurePosixPath,
        'numpy.dtype': _dtype,
        'numpy.ndarray': np.ndarray,
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'mmengine.config.config.ConfigDict': dict,
        'torch.Size': torch.Size,
        'torch.device': torch.device,
        'torch.nn.parameter.Parameter': torch.nn.Parameter,
        'torch.storage.UntypedStorage': torch.UntypedStorage,
    }
    for cls in (bool, bytearray, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple):
        table[f'builtins.{cls.__name__}'] = table[f'__builtin__.{cls.__name__}'] = cls
    table['builtins.getattr'] = table['__builtin__.getattr'] = _method
    for package in ('numpy.core', 'numpy._core'):
        table[f'{package}.multiarray._reconstruct'] = _empty_array
        table[f'{package}.multiarray.scalar'] = _scalar
    for name in ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3', '_rebuild_parameter'):
        if hasattr(torch._utils, name):
            table[f'torch._utils.{name}'] = getattr(torch._utils, name)
    table.update((str(value), value) for value in vars(torch).values() if isinstance(value, torch.dtype))
    return table


_InPython: Any = pickle._Unpickler  # the one in C lets a file set the state of anything


class Unpickler(_InPython):
    """Python's own unpickler, with the rules of this module."""

    dispatch = dict(_InPython.dispatch)  # noqa: RUF012  (pickle looks for it here)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _allowed()[f'{module}.{name}']
        except KeyError:
            raise UnsafeFileError(f'{module}.{name}') from None

    def load_build(self) -> None:
        state, instance = self.stack[-1], self.stack[-2]
        if type(instance) not in (OrderedDict, HistoryBuffer, np.ndarray):
            if not isinstance(instance, np.dtype):
                raise UnsafeFileError(f'a state of {type(instance).__name__}')
            if tuple(state[2:]) != instance.__reduce__()[2][2:]:
                raise UnsafeFileError(f'numpy.dtype with the state {state}')
        elif isinstance(instance, HistoryBuffer):
            state.pop('statistics_methods', None)  # which would become those of all histories
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def load(file: BinaryIO, **options: Any) -> Any:
    """`pickle.load` by the rules of this module."""
    try:
        return Unpickler(file, **options).load()
    except KeyError as error:  # a byte that stands for no step of a pickle
        raise pickle.UnpicklingError(f'no pickle, it has {error}') from None
