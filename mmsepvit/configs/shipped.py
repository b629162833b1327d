"""The config files that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

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


def register_with_mmpretrain() -> None:
    """Lets mmpretrain find the classifiers of this package by name, as it finds its own.

    mmpretrain is the one package of the three that lets others add to its names. A second call does nothing.

    Raises:
        UserError: This installation has no config files.
        ModuleNotFoundError: mmpretrain is not installed.

    Examples:
        >>> import mmsepvit
        >>> from mmpretrain import get_model
        >>> mmsepvit.register_with_mmpretrain()
        >>> model = get_model('sepvit_lite_imagenet', pretrained='lite.pth')
    """
    from mmpretrain.apis import ModelHub

    index = Path(config('sepvit_lite_imagenet')).with_name('metafile_classification.yml')
    if not ModelHub.has('sepvit_lite_imagenet'):
        ModelHub.register_model_index(index, config_prefix=index.parents[1])
