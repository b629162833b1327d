"""What a class says of the arguments that a config gives it, told in a line."""

from __future__ import annotations

import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch.utils.data import DataLoader

from ..errors import did_you_mean

# Functions that call what a config names, and what of their variables holds the config's arguments and the callee.
_CALLERS: dict[str, Callable[[dict[str, Any]], tuple[Mapping[str, Any], Any]]] = {
    'build_from_cfg': lambda names: (names.get('cfg') or {}, names.get('obj_cls')),
    'build_dataloader': lambda names: (names.get('dataloader') or {}, DataLoader),
    '_clip_grad': lambda names: (names['self'].clip_grad_kwargs, names['self'].clip_func),
}

# Functions that hand arguments on: those of a class, of mmengine's named singletons, of PyTorch around clip_grad_norm_.
_PASS_ON = ('__init__', '__call__', 'get_instance', '_no_grad_wrapper')

_STEPS = ('train_step', 'val_step', 'test_step')

# What released code raises at a value that it was not made for, also deep inside the layers that it builds.
_OF_VALUES = (
    *(TypeError, ValueError, AssertionError, AttributeError),
    *(LookupError, ArithmeticError, ImportError, RuntimeError),  # PyTorch's, of sizes below 0
)


def explain(error: BaseException) -> str | None:
    """Finds out whether a config's arguments are to blame for an exception.

    Only what is certain counts: the exception arose in the very call of the class that the config names, while that
    class's own code checked its arguments, or in nothing but installed code, which builds what it is told to; or in the
    call of the data preprocessor, whose arguments meet those of the pipeline in a batch.

    Args:
        error: The exception, with its traceback.

    Returns:
        A message that names the class, the argument and where it was refused. None for any other exception.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    callers = [i for i, (frame, _) in enumerate(frames) if frame.f_code.co_name in _CALLERS]
    while callers:
        i = callers.pop()
        caller, inner = frames[i][0], frames[i + 1 :]
        arguments, cls = _CALLERS[caller.f_code.co_name](caller.f_locals)
        if cls is not None:
            return _refused(error, arguments, cls, inner)
        # The registry did not get as far as to call it.
        if inner and inner[-1][0].f_code.co_name != 'get':
            return None
        told = _unregistered(error, caller)
        if told is not None:
            return told
        # It was no group of settings, and the class around it handed that on.
    return _refused_batch(error, frames)


def _refused_batch(error: BaseException, frames: Sequence[tuple[FrameType, int]]) -> str | None:
    """What a data preprocessor says of a batch: it takes its arguments as they come, and needs them then."""
    for i, (frame, _) in enumerate(frames[1:], 1):
        module, caller = frame.f_locals.get('self'), frames[i - 1][0].f_code.co_name
        if not isinstance(module, BaseDataPreprocessor) or caller not in _STEPS or not isinstance(error, _OF_VALUES):
            continue
        if all(_is_installed(inner.f_code.co_filename) for inner, _ in frames[i:]):
            last, line = frames[-1]
            return (
                f"{type(module).__name__} cannot take a batch as the config has both, its arguments and the pipeline's "
                f'last steps: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}\n'
                f'({last.f_code.co_filename}, line {line})'
            )
    return None


def _refused(
    error: BaseException, arguments: Mapping[str, Any], cls: Any, inner: Sequence[tuple[FrameType, int]]
) -> str | None:
    """What a class says of its arguments, given the frames inside its call."""
    name = getattr(cls, '__name__', str(cls))
    text = (str(error.args[0]) if error.args else '').strip()
    if isinstance(error, TypeError) and all(frame.f_code.co_name in _PASS_ON for frame, _ in inner):
        unexpected = re.search(r"unexpected keyword argument '(\w+)'", text)
        if unexpected and unexpected[1] in arguments:
            return f"{name} takes no argument '{unexpected[1]}'.{_advice(unexpected[1], cls)}"
        if re.search(r'missing \d+ required', text):
            return f'{name} lacks an argument in the config: {text.partition("() ")[2]}.'
    # A KeyError of a word is an access that failed, one of a sentence is somebody's message.
    says_why = isinstance(error, (ValueError, AssertionError)) or (isinstance(error, KeyError) and ' ' in text)
    files = [frame.f_code.co_filename for frame, _ in inner]
    if not inner or not isinstance(error, _OF_VALUES):
        return None
    if says_why and text and set(files) <= _files(cls):
        why = text.splitlines()[0]
    elif all(map(_is_installed, files)):
        why = f'{type(error).__name__}: {text.splitlines()[0]}' if text else type(error).__name__
    else:
        return None
    return f'{name} cannot be built as the config has it: {why}\n({files[-1]}, line {inner[-1][1]})'


def _is_installed(file: str) -> bool:
    """Whether code is that of a package or of Python, and not this project's or the caller's own."""
    if file.startswith('<'):  # frozen into the interpreter, or made by it
        return True
    path = Path(file)
    return not path.is_relative_to(_OWN) and any(path.is_relative_to(folder) for folder in _INSTALLED)


_OWN = Path(__file__).resolve().parents[1]
_INSTALLED = {sysconfig.get_path(name) for name in ('purelib', 'platlib', 'stdlib', 'platstdlib')}


def _unregistered(error: BaseException, caller: FrameType) -> str | None:
    registry: Any = caller.f_locals.get('registry')
    kind = caller.f_locals.get('obj_type')
    if 'obj_type' not in caller.f_locals:
        if isinstance(error, KeyError) and 'must contain the key "type"' in str(error):
            group = ', '.join(map(str, caller.f_locals.get('cfg') or {}))
            return f'a group of settings in the config has no type, so nothing can be built from it: {group}.'
        return None
    if not isinstance(kind, str):  # nor a class, or it would have been called
        return f'a group of settings in the config has type={kind!r}, which is neither a name nor a class.'
    known = {*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())}
    return f"type '{kind}' is unknown among {registry.scope}'s {registry.name}s.{did_you_mean(str(kind), known)}"


def _files(cls: Any) -> set[str | None]:
    """The files that hold the code of a class and of its bases."""
    return {getattr(sys.modules.get(base.__module__), '__file__', None) for base in getattr(cls, '__mro__', ())}


def _advice(argument: str, cls: Any) -> str:
    if argument == 'pretrained':
        return (
            '\nWeights to start from are its init_cfg: --cfg-options model.backbone.init_cfg.type=Pretrained '
            'model.backbone.init_cfg.checkpoint=FILE model.backbone.init_cfg.prefix=backbone.'
        )
    return did_you_mean(argument, _arguments(cls))


def _arguments(cls: Any) -> list[str]:
    """Names that a class takes, those of its bases included, or those of a function."""
    if not inspect.isclass(cls):
        return list(inspect.signature(cls).parameters)
    functions = [vars(base)['__init__'] for base in cls.__mro__ if inspect.isfunction(vars(base).get('__init__'))]
    names = [name for function in functions for name in inspect.signature(function).parameters if name != 'self']
    return list(dict.fromkeys(names))
