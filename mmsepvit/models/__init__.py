"""The SepViT model: attention, embedding, and the backbone made of them."""

from .attention import SeparableAttention
from .layers import ConditionalPositionEncoding, OverlapPatchEmbed
from .sepvit import SepViT, SepViTBlock, SepViTStage

__all__ = [
    'ConditionalPositionEncoding',
    'OverlapPatchEmbed',
    'SepViT',
    'SepViTBlock',
    'SepViTStage',
    'SeparableAttention',
]
