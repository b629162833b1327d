"""Files of weights and training states: reading and comparing them, and the published format."""

from .official import convert_official_state_dict
from .read import register_loaders

register_loaders()

__all__ = ['convert_official_state_dict']
