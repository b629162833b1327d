"""The checkpoint format of the published SepViT implementation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

# (pattern of a published name, name here); the first that matches counts.
_BLOCK, _OURS = r'blocks\.(\d+)\.(\d+)\.', r'backbone.stages.\1.blocks.\2.'
_RENAMES = [
    (r'patch_embeds\.(\d+)\.(proj|norm)\.', r'backbone.stages.\1.patch_embed.\2.'),
    (r'pos_block\.(\d+)\.proj\.0\.', r'backbone.stages.\1.cpe.proj.'),
    (_BLOCK + r'norm1\.', _OURS + 'attn.norm.'),
    (_BLOCK + r'win_tokens$', _OURS + 'attn.window_token'),
    (_BLOCK + r'attn\.DSA_qkv\.', _OURS + 'attn.dsa_qkv.'),
    (_BLOCK + r'attn\.win_tokens_norm\.', _OURS + 'attn.psa_norm.'),
    (_BLOCK + r'attn\.PSA_qk\.', _OURS + 'attn.psa_qk.'),
    (_BLOCK + r'norm2\.', _OURS + 'mlp.norm.'),
    (_BLOCK + r'(attn\.proj|mlp\.fc1|mlp\.fc2)\.', _OURS + r'\3.'),
    (r'norm_list\.(\d+)\.', r'backbone.norm\1.'),
    (r'norm\.', r'backbone.norm3.'),
    (r'head\.', r'head.fc.'),
]


def convert_official_state_dict(state_dict: Mapping) -> dict[str, Tensor]:
    """Renames the parameters of a published-format checkpoint to this project's.

    Classification and dense checkpoints of all sizes are read, wrapped (a dict with the state dict under ``model``) or
    bare, with names that begin with ``module.`` or not. The dense models' classifier and final norm, which the
    published code builds but never uses, are left out.

    Args:
        state_dict: What ``torch.load`` returns for the checkpoint.

    Returns:
        Parameters under ``backbone.*`` and, for classification, ``head.fc.*``, as a segmentor, detector or classifier
        with SepViT names them. The tensors are the given ones but for window tokens, which are views with the shape
        (windows down, windows across, channels).

    Raises:
        ValueError: If a name is not one of the published format, or window tokens do not lie on a square grid.
    """
    if isinstance(state_dict.get('model'), Mapping):
        state_dict = state_dict['model']
    names = {name: name[7:] if name.startswith('module.') else name for name in state_dict}
    dense = any(name.startswith('norm_list.') for name in names.values())
    converted = {}
    for given, name in names.items():
        if dense and name.startswith(('norm.', 'head.')):
            continue
        for pattern, replacement in _RENAMES:
            new_name, count = re.subn(f'^{pattern}', replacement, name)
            if count:
                break
        else:
            raise ValueError(
                f'{given!r} is not a parameter of a published SepViT checkpoint (expected names such as '
                "'patch_embeds.0.proj.weight' or 'blocks.0.0.attn.DSA_qkv.weight')"
            )
        tensor = state_dict[given]
        converted[new_name] = _token_grid(given, tensor) if name.endswith('.win_tokens') else tensor
    if not converted:
        raise ValueError('the checkpoint holds no parameters')
    return converted


def _token_grid(name: str, tokens: Tensor) -> Tensor:
    """Tokens (1, N, 1, C), as published, as a grid (sqrt(N), sqrt(N), C): they were trained on square images."""
    side = math.isqrt(tokens.shape[1])
    if side * side != tokens.shape[1]:
        raise ValueError(f'{name!r} holds {tokens.shape[1]} window tokens, which make no square grid')
    return tokens.reshape(side, side, tokens.shape[-1])
