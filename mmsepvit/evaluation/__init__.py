"""What is measured of a trained model, and what is drawn of it."""

from .metrics import DumpSegResults

__all__ = ['DumpSegResults']
