"""Starting a backbone from weights of another kind of SepViT: what may differ, and a refusal of all else.

The paper's classification and dense models do not have the same parameters (``docs/checkpoints.md``), so a dense
backbone that starts from ImageNet weights misses some and has no place for others. mmengine's ``Pretrained``
initialisation warns of every difference alike and goes on, also where it loaded nothing, or half of another model.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from mmengine.logging import print_log
from torch import Tensor, nn

reading_for_backbone: ContextVar[bool] = ContextVar('reading_for_backbone', default=False)
"""True while a SepViT reads the weights that it starts from: no file may run code then (``mmsepvit.checkpoints``)."""

_TOKEN = '.attn.window_token'
_PSA = '.attn.psa_'
FIRST = 'stages.0.patch_embed.proj.weight'
"""The parameter that reads the image's channels."""


class Mismatch(NamedTuple):
    """Names in which a backbone and weights differ, sorted.

    Attributes:
        missing: Parameters of the backbone that the weights do not give; they keep their initial values.
        unexpected: Weights that the backbone has no place for; they are left out.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def expected_mismatch(own: Iterable[str], given: Iterable[str]) -> Mismatch:
    """Says in which names two kinds of SepViT of one arch differ by design.

    By design are missing: PSA of blocks that have none in the weights, as they had a single window in training; window
    tokens, which start at the zero that a model without them uses; norms of stages that were no output. By design have
    no place: tokens where the backbone has the constant zero, norms of stages that it does not output, stages that it
    ends before.

    Args:
        own: Parameter names of the backbone.
        given: Names of the weights, as the backbone would name them.

    Returns:
        The differing names that this explains. Any other difference is a mistake.
    """
    own, given = set(own), set(given)
    has_psa = {_block(name) for name in given if _PSA in name or name.endswith(_TOKEN)}
    has_norm = any(name.startswith('norm') for name in given)
    last_stage = max((_stage(name) for name in own), default=-1)
    missing = [
        name
        for name in own - given
        if name.endswith(_TOKEN)
        or (name.startswith('norm') and has_norm)
        or (_PSA in name and _block(name) not in has_psa)
    ]
    unexpected = [
        name
        for name in given - own
        if name.endswith(_TOKEN) or re.match(r'norm\d+\.', name) or _stage(name) > last_stage
    ]
    return Mismatch(tuple(sorted(missing)), tuple(sorted(unexpected)))


def _block(name: str) -> str:
    return name.split(_PSA)[0].removesuffix(_TOKEN)


def _stage(name: str) -> int:
    match = re.match(r'stages\.(\d+)\.', name)
    return int(match[1]) if match else -1


def check_transfer(backbone: nn.Module, weights: Mapping[str, Tensor]) -> Mismatch:
    """Checks that weights are those of a backbone, up to the differences of `expected_mismatch`.

    Args:
        backbone: A SepViT.
        weights: The weights, under the backbone's own names.

    Returns:
        The differences that are there by design, both parts empty where there are none.

    Raises:
        ValueError: If a name or shape differs that should not; the message says which, and what to do.
    """
    own = backbone.state_dict()
    if not own.keys() & weights.keys():
        raise ValueError(f'none of the weights is a parameter of SepViT.{_advice(weights)}')
    other = [name for name in own if name in weights and not _fits(name, own[name], weights[name])]
    if other == [FIRST]:
        given, bands = weights[FIRST].shape[1], own[FIRST].shape[1]
        raise ValueError(
            f'they were trained on images of {given} channels, and this SepViT has in_channels={bands}. With load_from '
            'in the config, or in its place, all other weights are loaded.'
        )
    if other:
        shapes = f'{tuple(weights[other[0]].shape)} instead of {tuple(own[other[0]].shape)}'
        raise ValueError(
            f'weights differ in shape from this SepViT, {len(other)} in all, such as {other[0]}: {shapes}. {_HINT}'
        )
    expected = expected_mismatch(own, weights)
    missing = sorted(own.keys() - weights.keys() - set(expected.missing))
    unexpected = sorted(weights.keys() - own.keys() - set(expected.unexpected))
    if is_of_other_input_size(missing + unexpected):
        psa = [name for name in missing + unexpected if _PSA in name]
        raise ValueError(f'{len(psa)} weights of PSA differ, such as {psa[0]}: {OTHER_INPUT_SIZE}')
    if missing:
        raise ValueError(f'parameters of this SepViT are missing, {len(missing)} in all, such as {missing[0]}. {_HINT}')
    if unexpected:
        raise ValueError(
            f'weights have no place in this SepViT, {len(unexpected)} in all, such as {unexpected[0]}. {_HINT}'
        )
    return expected


_HINT = 'Are they of another arch?'

OTHER_INPUT_SIZE = (
    'they were trained with another input_size or single_window_psa, so that other blocks have PSA. Set both as in '
    'their training.'
)


def is_of_other_input_size(differing: Iterable[str]) -> bool:
    """Whether names that a model and weights do not share are those of PSA in whole blocks, and of window tokens."""
    differing = list(differing)
    # Four parameters a block: weight and bias of the norm of the tokens, and of their linear layer.
    whole = set(Counter(_block(name) for name in differing if _PSA in name).values()) == {4}
    return whole and all(_PSA in name or name.endswith(_TOKEN) for name in differing)


def psa_without_place(own: Iterable[str], given: Iterable[str]) -> list[str]:
    """Weights of PSA, sorted, that are given for blocks which a model has without PSA; prefixes do not matter."""
    own = set(own)
    blocks = {name.removesuffix('.attn.dsa_qkv.weight') for name in own if name.endswith('.attn.dsa_qkv.weight')}
    return sorted(name for name in set(given) - own if _PSA in name and _block(name) in blocks)


def _fits(name: str, own: Tensor, given: Tensor) -> bool:
    if name.endswith(_TOKEN):  # the grid is resized when loaded
        return own.ndim == given.ndim and own.shape[-1] == given.shape[-1]
    return own.shape == given.shape


def _advice(names: Iterable[str]) -> str:
    if any(name.startswith('backbone.') for name in names):
        return " They begin with 'backbone.': set prefix='backbone.' beside the checkpoint's name."
    if any(re.match(r'model$|(module\.)?patch_embeds\.', name) for name in names):
        return ' They are in the published format: convert the file with tools/convert_checkpoint.py.'
    return ' Is it a checkpoint of another model?'


def describe(mismatch: Mismatch) -> str:
    """A line that says what the differences by design come to."""
    missing, unexpected = (Counter(map(_kind, names)) for names in mismatch)
    kept, left = (', '.join(f'{count} of {kind}' for kind, count in kinds.items()) for kinds in (missing, unexpected))
    parts = [f'{len(mismatch.missing)} parameters keep their initial values ({kept})'] * bool(kept)
    parts += [f'{len(mismatch.unexpected)} of the weights are left out ({left})'] * bool(left)
    return f'{" and ".join(parts)}, as they should between these kinds of SepViT (docs/checkpoints.md)'


def _kind(name: str) -> str:
    if _PSA in name:
        return 'PSA'
    if name.endswith(_TOKEN):
        return 'window tokens'
    return 'output norms' if name.startswith('norm') else 'later stages'


@contextmanager
def checked_loading(backbone: nn.Module) -> Iterator[None]:
    """Checks weights that are loaded in a backbone meanwhile, and tells of differences by design in one line.

    Meant for initialisation, which is never strict; a strict loading would accept these differences too.

    Args:
        backbone: A SepViT.

    Raises:
        ValueError: On loading, before anything is changed; see `check_transfer`.
    """

    def reconcile(state_dict: dict[str, Tensor], *_: object) -> None:
        try:
            mismatch = check_transfer(backbone, state_dict)
        except ValueError as error:
            raise ValueError(f'{error} Nothing was loaded; load_from in the config takes whatever fits.') from None
        if not any(mismatch):
            return
        own = backbone.state_dict()
        state_dict.update((name, own[name]) for name in mismatch.missing)
        for name in mismatch.unexpected:
            del state_dict[name]
        print_log(describe(mismatch), logger='current', level=logging.INFO)

    handle = backbone._register_load_state_dict_pre_hook(reconcile)
    token = reading_for_backbone.set(True)
    try:
        yield
    finally:
        reading_for_backbone.reset(token)
        handle.remove()
