"""Options of a swap that ``tools/swap_backbone.py`` and ``tools/train.py`` share."""

from __future__ import annotations

import argparse
import re
from typing import Any

from mmengine.config import Config, DictAction

from ..configs.swap import arch_of, swap
from ..configs.swap.recipe import RECIPES
from ..errors import UserError


def add_swap_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--backbone``, ``--recipe`` and ``--pretrained``."""
    parser.add_argument(
        '--backbone',
        metavar='NAME',
        help='put this in place of the backbone of any config, which may be one that a package ships (mmdet::…, '
        'mmseg::…, mmpretrain::…): sepvit-lite, -tiny, -small, -base, or another one of maps of several scales, such '
        'as mmpretrain.ConvNeXt:arch=tiny',
    )
    parser.add_argument(
        '--recipe',
        choices=RECIPES,
        help="sepvit: optimizer, warm-up, stochastic depth and clipping of the nearest of SepViT's recipes; keep: the "
        "config's own (default: sepvit where that has SGD)",
    )
    parser.add_argument(
        '--pretrained',
        metavar='FILE',
        help='start SepViT from this checkpoint, or from weights of this name that the package carries',
    )


def backbone_arguments(name: str) -> dict[str, Any]:
    """What the name of a backbone on a command line means to :func:`mmsepvit.configs.swap.swap`.

    Args:
        name: 'sepvit-tiny' or 'tiny', or the type of another backbone with arguments: 'mmpretrain.ResNet:depth=50'.

    Returns:
        ``arch`` for SepViT, ``backbone`` for another one.

    Raises:
        UserError: There is no such SepViT, or an argument is not a pair.
    """
    kind, _, rest = name.partition(':')
    if not rest and '.' not in kind:
        return {'arch': arch_of(kind)}
    config: dict[str, Any] = {'type': kind}
    for pair in filter(None, re.split(r',(?![^\[(]*[\])])', rest)):  # commas within brackets belong to a value
        key, equals, value = pair.partition('=')
        if not equals:
            raise UserError(f"--backbone {name}: '{pair}' is no KEY=VALUE")
        config[key] = DictAction._parse_iterable(value)
    return {'backbone': config}


def swap_as_asked(config: Config, args: argparse.Namespace) -> tuple[Config, list[str]]:
    """Does what ``--backbone`` and the options beside it ask for.

    Args:
        config: The config.
        args: The command line, of a tool that need not have these options.

    Returns:
        The new config and what changed, for the log; the same config and nothing without ``--backbone``.

    Raises:
        UserError: The backbone cannot be replaced, or an option does not fit.
    """
    name, recipe, pretrained = (getattr(args, option, None) for option in ('backbone', 'recipe', 'pretrained'))
    if name is None:
        given = [option for option, value in (('--recipe', recipe), ('--pretrained', pretrained)) if value]
        if given:
            raise UserError(f'{given[0]} goes with --backbone, which says what to put into the config.')
        return config, []
    try:
        report = swap(config, recipe=recipe, pretrained=pretrained, price=True, **backbone_arguments(name))
    except UserError as error:
        raise UserError(f'--backbone {name}: {error}') from None
    return report.config, [f'--backbone {name}: {report}']
