"""SepViT in place of the backbone of any existing OpenMMLab config."""

from ..sources import load
from .backbone import arch_of
from .errors import SwapError, SwapRefused
from .report import SwapReport
from .swap import swap, swap_backbone

__all__ = ['SwapError', 'SwapRefused', 'SwapReport', 'arch_of', 'load', 'swap', 'swap_backbone']
