"""Loading config files, and overriding single keys of them from the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..errors import UserError, did_you_mean
from .sources import config_path, load

PACKAGES = ('mmseg', 'mmdet', 'mmpretrain', 'mmpose', 'mmrotate')
"""Packages that a config's ``default_scope`` may name; of the last two only swapped configs are trained."""


def config_folder() -> Path | None:
    """Folder of the project's config files: of the repository, or of an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        if folder.is_dir():
            return folder
    return None


def load_config(path: str) -> Config:
    """Reads a config file.

    Args:
        path: Path of the file, relative to the current folder, or of one that a package ships, such as
            'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'.

    Returns:
        The config, its ``default_scope`` one of :data:`PACKAGES`.

    Raises:
        UserError: The file is missing, cannot be read or names no known package.
    """
    try:
        config_path(path)
    except UserError as error:
        if '::' in path:
            raise
        raise UserError(f'{error}.{_suggest_config(Path(path))}') from None
    config = load(path)
    scope = config.get('default_scope')
    if scope not in PACKAGES:
        raise UserError(
            f"config '{path}' has default_scope={scope!r}; it must be one of {', '.join(PACKAGES)}, "
            'which says whose datasets, pipelines and heads the config means.'
        )
    return config


def _suggest_config(path: Path) -> str:
    folders = [path, path.parent, config_folder()]
    candidates = {
        file.stem: file
        for folder in folders
        if folder is not None and folder.is_dir()
        for file in sorted(folder.glob('*.py'))
        if not file.name.startswith('_')
    }
    if path.stem in candidates:
        return f' Did you mean {candidates[path.stem]}?'
    hint = did_you_mean(path.stem, candidates)
    folder = config_folder()
    return hint or (f' The config files of this project are in {folder}.' if folder else '')


def apply_options(config: Config, options: Mapping[str, Any] | None) -> list[str]:
    """Sets the keys of ``--cfg-options``.

    A key that the config does not have is set too: whether there is such an argument, its class knows.

    Args:
        config: The config, changed in place.
        options: Dotted key (digits count from 0 into a list) to value.

    Returns:
        Notes for the log: keys that the config did not have, and keys whose change has no effect.

    Raises:
        UserError: A key leads through something that has no parts, or past the end of a list.
    """
    notes: list[str] = []
    for key, value in (options or {}).items():
        first, *rest = key.split('.')
        notes += _notes(config, key, value)
        config[first] = _replaced(config.get(first), rest, value, key)
    return notes


def _replaced(node: Any, parts: list[str], value: Any, key: str) -> Any:
    """A part of a config with a value at the place to which further parts of a key lead."""
    if not parts:
        return value
    part, *rest = parts
    where = key[: len(key) - len('.'.join(parts)) - 1]
    if isinstance(node, (list, tuple)):
        if not part.isdigit() or int(part) >= len(node):
            indices = f'an index from 0 to {len(node) - 1} must stand' if node else 'nothing can stand'
            raise UserError(
                f"--cfg-options {key}: '{where}' is a {type(node).__name__} of {len(node)}, so {indices} where "
                f"'{part}' is."
            )
        items = list(node)
        items[int(part)] = _replaced(items[int(part)], rest, value, key)
        return type(node)(items)
    # None and a plain True or False open up: optim_wrapper.clip_grad.max_norm=1, compile.mode=max-autotune.
    if node is None or isinstance(node, bool):
        node = ConfigDict()
    if not isinstance(node, dict):
        raise UserError(f"--cfg-options {key}: '{where}' is {node!r}, which has no parts.")
    child = _replaced(node.get(part), rest, value, key)
    node[part] = child  # after everything that may be refused
    return node


def _notes(config: Config, key: str, value: Any) -> Iterator[str]:
    """What to know about an option: that the config has no such key, or that nothing reads it."""
    parts = key.split('.')
    node: Any = config._cfg_dict
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, Mapping):
            where = f"'{'.'.join(parts[:depth])}'" if depth else 'the config'
            yield f"--cfg-options {key}: {where} had no key '{part}' so far.{did_you_mean(part, node)}"
            return
        else:
            return  # opened up, or refused when it is set
    if isinstance(node, Mapping) and node and not isinstance(value, Mapping):
        yield f'--cfg-options {key}={value}: this takes the place of a group ({", ".join(map(str, node))}).'
    if parts[0] not in inspect.signature(Runner.__init__).parameters and _stands_elsewhere(config, parts[0]):
        yield (
            f'--cfg-options {key}: {parts[0]} only helped to write the config file, so nothing reads it any more; set '
            'the keys that were made from it.'
        )


def _stands_elsewhere(config: Config, name: str) -> bool:
    """Whether the value of a variable at a config's top stands inside another one, too; a number only by that name."""
    value = config[name]

    def found(node: Any, key: Any) -> bool:
        if type(node) is type(value) and node == value and (key == name or not isinstance(value, (int, float))):
            return True
        if isinstance(node, Mapping):
            return any(found(item, inner) for inner, item in node.items())
        return isinstance(node, (list, tuple)) and any(found(item, None) for item in node)

    return value not in (None, True, False) and any(found(node, key) for key, node in config.items() if key != name)
