"""The command line of ``tools/convert_checkpoint.py``: published checkpoints as files for this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import convert_official_state_dict
from ..checkpoints.fits import guess_arch
from ..checkpoints.read import first_not_finite, read_file
from ..checkpoints.write import check_destination, encode_weights, write_whole
from ..errors import UserError
from ..models import SepViT
from ..models.pretrained import check_transfer, describe
from ..version import __version__
from .command import Parser, add_trust


def main(argv: list[str]) -> None:
    """Converts a published-format checkpoint file and prints what it was.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: A file cannot be read or written, or is not a whole SepViT checkpoint in the published format.
    """
    parser = Parser(
        'convert_checkpoint.py',
        'Converts a checkpoint of the published SepViT implementation, classification or dense.',
    )
    parser.add_argument('src', metavar='SRC', help='checkpoint in the published format')
    parser.add_argument('dst', metavar='DST', type=Path, help='.pth or .safetensors file to write')
    add_trust(parser)
    args = parser.parse_args(argv)
    check_destination(args.dst)
    checkpoint = _read(args.src, args.trust)
    try:
        weights = convert_official_state_dict(checkpoint)
    except ValueError as error:
        raise UserError(f"'{args.src}': {error}") from None
    arch = guess_arch(weights)
    if arch is None:
        raise UserError(f"'{args.src}' has not the depths and channels of SepViT lite, tiny, small or base.")
    with torch.device('meta'):
        backbone = SepViT(arch)
    own = {name[len('backbone.') :]: weight for name, weight in weights.items() if name.startswith('backbone.')}
    try:
        mismatch = check_transfer(backbone, own)
    except ValueError as error:
        raise UserError(f"'{args.src}' looks like SepViT {arch}, but {error}") from None
    kind = 'classification' if any(name.endswith('.window_token') for name in own) else 'dense'
    meta = {'arch': arch, 'kind': kind, 'mmsepvit_version': __version__}
    write_whole(encode_weights(weights, meta, args.dst.suffix), args.dst)

    size = sum(weight.numel() for weight in weights.values()) / 1e6
    classes = f' with {len(weights["head.fc.bias"])} classes' if 'head.fc.bias' in weights else ''
    print(f'{args.src}: SepViT {arch}, {kind}{classes}, {len(weights)} tensors, {size:.2f} M parameters')
    print(f"{args.dst}: written; load it with init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')")
    if any(mismatch):
        print(f'In a dense backbone {describe(mismatch)}.')


def _read(path: str, trust: bool) -> dict[str, Any]:
    checkpoint = read_file(path, trust)
    if path.endswith('.safetensors'):
        checkpoint = checkpoint['state_dict']
    state_dict = checkpoint.get('model', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state_dict, dict) or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise UserError(
            f"checkpoint '{path}' is not in the published format: it must hold parameters, by themselves or as 'model'."
        )
    name = first_not_finite(state_dict)
    if name is not None:
        raise UserError(f"checkpoint '{path}' holds numbers that are not finite, in {name}; take one from before.")
    return checkpoint
