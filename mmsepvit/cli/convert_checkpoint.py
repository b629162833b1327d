"""The command line of ``tools/convert_checkpoint.py``: published checkpoints as files for this project."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints import convert_official_state_dict
from ..checkpoints.read import guess_arch
from ..errors import UserError
from ..models import SepViT
from ..models.pretrained import check_transfer, describe
from ..version import __version__
from .command import Parser


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
    parser.add_argument('dst', metavar='DST', type=Path, help='.pth file to write')
    parser.add_argument(
        '--trust', action='store_true', help='read Python objects beside the tensors too, which runs code of the file'
    )
    args = parser.parse_args(argv)
    if args.dst.suffix not in ('.pth', '.pt'):
        raise UserError(f"'{args.dst}' must end in .pth or .pt: mmengine loads PyTorch files alone.")
    if args.dst.exists():
        raise UserError(f"'{args.dst}' exists already; choose another name.")
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
    # Copies, as a view would be written with all of the tensor that it is a view of.
    state_dict = {name: weight.detach().clone() for name, weight in weights.items()}
    meta = {'arch': arch, 'kind': kind, 'mmsepvit_version': __version__}
    _write({'state_dict': state_dict, 'meta': meta}, args.dst)

    size = sum(weight.numel() for weight in state_dict.values()) / 1e6
    classes = f' with {len(state_dict["head.fc.bias"])} classes' if 'head.fc.bias' in state_dict else ''
    print(f'{args.src}: SepViT {arch}, {kind}{classes}, {len(state_dict)} tensors, {size:.2f} M parameters')
    print(f"{args.dst}: written; load it with init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')")
    if any(mismatch):
        print(f'In a dense backbone {describe(mismatch)}.')


def _read(path: str, trust: bool) -> dict[str, Any]:
    """Reads a file to the CPU, by default without running what it may bring."""
    if not Path(path).is_file():
        raise UserError(f"checkpoint '{path}' does not exist.")
    try:
        with warnings.catch_warnings():  # torch 2.1 warns of its own code here
            warnings.simplefilter('ignore', UserWarning)
            checkpoint = torch.load(path, map_location='cpu', weights_only=not trust)
    except Exception as error:  # a file of any kind, read as a pickle, raises anything
        unsafe = re.search(r'Unsupported (?:class|global: GLOBAL) ([\w.]+)', str(error))
        if unsafe:
            raise UserError(
                f"checkpoint '{path}' holds other objects than tensors ({unsafe[1]}), and to read them runs code of "
                'the file.\nIf you trust where it comes from, add --trust.'
            ) from None
        reason = (str(error).strip().splitlines() or [''])[0][:120]
        raise UserError(
            f"checkpoint '{path}' cannot be read: it is truncated or no PyTorch checkpoint "
            f'({type(error).__name__}: {reason}).'
        ) from None
    state_dict = checkpoint.get('model', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state_dict, dict) or not all(isinstance(value, Tensor) for value in state_dict.values()):
        raise UserError(
            f"checkpoint '{path}' is not in the published format: it must hold parameters, by themselves or as 'model'."
        )
    return checkpoint


def _write(content: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint whole or not at all."""
    part = path.with_name(f'{path.name}.part')
    try:
        with part.open('wb') as file:
            torch.save(content, file)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"'{path}' cannot be written: {error.strerror}.") from None
