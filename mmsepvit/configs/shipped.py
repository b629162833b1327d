"""The config files that come with the package, by name."""

from __future__ import annotations

from ..errors import UserError, did_you_mean
from .load import config_folder


def config(name: str) -> str:
    """Path of a config file that comes with the package, for whoever reads it from a path.

    Args:
        name: Its name with or without ``.py``, such as 'upernet_sepvit_t_ade20k'.

    Returns:
        The absolute path of the file, in the repository or in the installed package.

    Raises:
        UserError: There is no config file of that name.

    Examples:
        >>> import mmsepvit
        >>> from mmengine.config import Config
        >>> Config.fromfile(mmsepvit.config('upernet_sepvit_t_ade20k')).model.backbone.type
        'mmsepvit.SepViT'
    """
    folder = config_folder()
    if folder is None:
        raise UserError('this installation of mmsepvit has no config files: install it from a wheel or a clone.')
    files = {file.stem: file for file in sorted(folder.glob('*.py')) if not file.name.startswith('_')}
    stem = name[: -len('.py')] if name.endswith('.py') else name
    if stem not in files:
        raise UserError(f"mmsepvit has no config '{name}' in {folder}.{did_you_mean(stem, files)}")
    return str(files[stem])
