"""SepViT (Separable Vision Transformer, arXiv 2203.15380) as an mmengine backbone."""

from __future__ import annotations

try:
    import mmengine  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != 'mmengine':
        raise
    raise ModuleNotFoundError(
        "mmsepvit needs mmengine, which is not installed: pip install 'mmsepvit[openmmlab]' "
        "(mmengine 0.10.7, torch 2.1) or 'mmsepvit[onedl]' (onedl-mmengine 0.10.12, torch 2.11)",
        name='mmengine',
    ) from None

from mmengine.registry import MODELS as MMENGINE_MODELS

from .checkpoints import convert_official_state_dict
from .models import SepViT
from .version import __version__

# With this, after `import mmsepvit`, a bare type='SepViT' resolves in every package too.
MMENGINE_MODELS.register_module(module=SepViT)

__all__ = ['SepViT', '__version__', 'convert_official_state_dict']
