"""Reading configs from files and from installed packages (``mmdet::…``, ``mmseg::…``, ``mmpretrain::…``)."""

from __future__ import annotations

import copy
import traceback
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config

from ..config_tree import nodes
from ..errors import UserError


def package_configs(package: str) -> Path:
    """Folder of the configs that an installed OpenMMLab package ships.

    mmengine's own look-up goes through the distribution's name, which is another one in the onedl family.

    Args:
        package: Import name, such as 'mmseg'.

    Raises:
        UserError: The package is not installed or ships no configs.
    """
    try:
        spec = find_spec(package)
    except (ValueError, ImportError):  # a module without a spec, or one inside a package that is not there
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"package '{package}' is not installed")
    root = Path(next(iter(spec.submodule_search_locations)))
    folders = (root / '.mim' / 'configs', root.parent / 'configs')  # the second in an editable checkout
    for folder in folders:
        if folder.is_dir():
            return folder
    raise UserError(f"package '{package}' ships no configs: {folders[0]} is missing")


def config_path(source: str | Path) -> Path:
    """File that ``source`` names: a path, or ``package::path`` with or without ``.py``.

    Raises:
        UserError: There is no such file.
    """
    package, separator, rest = str(source).partition('::')
    if not separator:
        path = Path(source)
        if not path.is_file():
            what = 'is a folder, not a config file' if path.is_dir() else 'does not exist'
            raise UserError(f"config '{source}' {what}")
        return path
    folder = package_configs(package)
    path = folder / (rest if rest.endswith('.py') else f'{rest}.py')
    if not path.is_file():
        near = sorted(str(p.relative_to(folder)) for p in path.parent.glob('*.py')) if path.parent.is_dir() else []
        hint = f'; {path.parent.name}/ has {", ".join(Path(n).name for n in near[:3])}, …' if near else ''
        raise UserError(f"config '{source}' does not exist in {folder}{hint}")
    return path


def load(source: Config | dict | str | Path) -> Config:
    """A config of the caller's own: a deep copy of a config, or what a file or ``package::path`` holds.

    Raises:
        UserError: The file is missing or is no readable config, or the source is nothing that names a config.
    """
    if isinstance(source, Config):
        return copy.deepcopy(source)
    if isinstance(source, dict):
        return Config(copy.deepcopy(source))
    if not isinstance(source, (str, Path)):
        raise UserError(f'a config is a path, a dict or an mmengine Config, not {source!r}')
    path = config_path(source)
    try:
        config = Config.fromfile(path)
        list(nodes(config._cfg_dict))  # what a pure Python config imports, mmengine imports when it is looked at
    except Exception as error:  # a config file is a program: anything may come out of it
        reason = (str(error).strip() or 'no reason given').splitlines()[0]
        raise UserError(
            f"config '{source}' cannot be read: {type(error).__name__}: {reason}\nIt comes from {_place(error, path)}."
        ) from error
    return config


def _place(error: Exception, path: Path) -> str:
    """File and, where it is known, line in which reading a config ended: of the config itself, or of one of its bases.

    Args:
        error: What was raised.
        path: The config that was to be read.
    """
    file, line = str(path.absolute()), getattr(error, 'lineno', None)
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_name == '<module>' and code.co_filename == file:  # mmengine runs the file
            line = number
        elif code.co_name in ('_file2dict', '_parse_lazy_import', '_is_lazy_import'):  # mmengine goes to a base
            file = frame.f_locals.get('filename', file)
    return f'{file}, line {line}' if line else file
