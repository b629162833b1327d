"""What the dicts of a config build, asked by class: a ``type`` may be a name, a path, or the class itself."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.registry import MODELS, Registry

from ...config_tree import built_class

PACKAGES = ('mmpretrain', 'mmseg', 'mmpose', 'mmdet3d', 'mmrotate', 'mmdet')
"""OpenMMLab's packages of models; those that build on another one stand before it."""


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back the packages' warnings, and their log lines, of which each initialised parameter has one."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def lineage(node: Any, registry: Registry = MODELS) -> tuple[str, ...]:
    """The class that a dict builds and all that it inherits from, each as 'package.Class'.

    Args:
        node: The dict.
        registry: The root registry of that kind of object. Defaults to that of models.

    Returns:
        The names, the class's own first; none where the dict builds nothing that is known. The packages of one's own
        classes count as well, so a class of mmseg's that is called ``UNet`` and another one of that name differ.
    """
    with quiet():
        cls = built_class(node, None, registry)
    if cls is None:
        return ()
    # A class may be registered under another name, and a function in place of a class whose needs are not installed.
    registered = f'{cls.__module__.partition(".")[0]}.{type_name(node)}'
    bases = cls.__mro__ if inspect.isclass(cls) else ()
    return (registered, *(f'{base.__module__.partition(".")[0]}.{base.__name__}' for base in bases))


def is_a(node: Any, *names: str, registry: Registry = MODELS) -> bool:
    """Whether a dict builds one of these classes ('package.Class') or one that inherits from it."""
    return not set(names).isdisjoint(lineage(node, registry))


def takes(node: Any, argument: str, registry: Registry = MODELS) -> bool:
    """Whether the class that a dict builds names this argument in its constructor or in that of a base."""
    cls = built_class(node, None, registry)
    constructors = (vars(base).get('__init__') for base in cls.__mro__) if inspect.isclass(cls) else ()
    return any(argument in inspect.signature(each).parameters for each in constructors if each is not None)


def package_of(model: Any) -> str | None:
    """The OpenMMLab package whose kind of model a dict builds, None where it is of none."""
    packages = {name.partition('.')[0] for name in lineage(model)}
    return next((package for package in PACKAGES if package in packages), None)


def type_name(node: Any) -> str:
    """Name of the class that a dict builds, as a message shows it ('' for none). No decision hangs on it."""
    kind = node.get('type') if isinstance(node, Mapping) else None
    if kind is None:
        return ''
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
