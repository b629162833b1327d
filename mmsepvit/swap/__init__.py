"""SepViT in place of the backbone of any existing OpenMMLab config."""

from .errors import SwapError, SwapRefused
from .report import SwapReport
from .sources import load
from .swap import swap, swap_backbone

__all__ = ['SwapError', 'SwapRefused', 'SwapReport', 'load', 'swap', 'swap_backbone']
