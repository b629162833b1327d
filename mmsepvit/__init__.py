"""SepViT (Separable Vision Transformer, arXiv 2203.15380) as an mmengine backbone."""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
from .models import FeatureDistillation, SepViT
from .version import __version__

# With this, after `import mmsepvit`, a bare type='SepViT' resolves in every package too.
MMENGINE_MODELS.register_module(module=SepViT)

__all__ = [
    'FeatureDistillation',
    'LayerDecayOptimWrapperConstructor',
    'SepViT',
    '__version__',
    'config',
    'convert_official_state_dict',
    'register_with_mmpretrain',
    'swap_backbone',
    'visualize',
]


def __getattr__(name: str) -> Any:
    """Imports when it is asked for what the backbone never needs: `swap_backbone` reads the packages' configs."""
    if name == 'config':
        from .configs.shipped import config

        return config
    if name == 'register_with_mmpretrain':
        from .configs.shipped import register_with_mmpretrain

        return register_with_mmpretrain
    if name == 'swap_backbone':
        from .configs.swap import swap_backbone

        return swap_backbone
    if name == 'LayerDecayOptimWrapperConstructor':
        from .engine.layer_decay import LayerDecayOptimWrapperConstructor

        return LayerDecayOptimWrapperConstructor
    if name == 'visualize':
        return import_module('.visualize', __name__)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
