"""The SepViT model: attention, embedding, the backbone made of them, and its pretraining by distillation."""

from .attention import SeparableAttention
from .distillation import FeatureDistillation
from .layers import ConditionalPositionEncoding, OverlapPatchEmbed
from .sepvit import SepViT, SepViTBlock, SepViTStage

__all__ = [
    'ConditionalPositionEncoding',
    'FeatureDistillation',
    'OverlapPatchEmbed',
    'SepViT',
    'SepViTBlock',
    'SepViTStage',
    'SeparableAttention',
]
