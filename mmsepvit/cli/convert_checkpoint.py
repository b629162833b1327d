"""The command line of ``tools/convert_checkpoint.py``: others' checkpoints as files for this project."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ..checkpoints import convert_official_state_dict
from ..checkpoints.fits import guess_arch
from ..checkpoints.read import read_checkpoint, reading_safely
from ..checkpoints.swin import is_swin, start_from_swin
from ..checkpoints.write import check_destination, encode_weights, write_whole
from ..configs.swap.preprocessor import MEAN, STD
from ..datasets.images import images_in, read_image
from ..errors import UserError
from ..models import SepViT
from ..models.pretrained import check_transfer, describe
from ..version import __version__
from .command import Parser, add_trust

_SIDE = 224
_IMAGES, _FEWEST = 64, 16


def main(argv: list[str]) -> None:
    """Converts a checkpoint file and prints what it was.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: A file cannot be read or written, or is no whole checkpoint of a Swin Transformer, or of SepViT in
            the published format.
    """
    parser = Parser(
        'convert_checkpoint.py',
        'Converts a checkpoint of the published SepViT implementation, classification or dense; of a Swin Transformer '
        '(mmpretrain, mmdet, mmseg, timm or its own implementation) it makes a dense SepViT to start from.',
    )
    parser.add_argument('src', metavar='SRC', help='checkpoint to read')
    parser.add_argument('dst', metavar='DST', type=Path, help='.pth or .safetensors file to write')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help=f'for a Swin Transformer: a folder of pictures such as it was trained on, of which {_IMAGES} are read',
    )
    add_trust(parser)
    args = parser.parse_args(argv)
    check_destination(args.dst)
    with reading_safely(args.trust):
        state = read_checkpoint(args.src)['state_dict']
    images = _read_images(args.src, args.images) if is_swin(state) else None
    try:
        arch, kind, weights = _from_official(state) if images is None else _from_swin(state, images)
        with torch.device('meta'):
            backbone = SepViT(arch)
        own = {name[len('backbone.') :]: weight for name, weight in weights.items() if name.startswith('backbone.')}
        mismatch = check_transfer(backbone, own)
    except (ValueError, UserError) as error:
        raise UserError(f"'{args.src}': {error}") from None
    meta = {'arch': arch, 'kind': kind, 'mmsepvit_version': __version__}
    write_whole(encode_weights(weights, meta, args.dst.suffix), args.dst)

    size = sum(weight.numel() for weight in weights.values()) / 1e6
    classes = f' with {len(weights["head.fc.bias"])} classes' if 'head.fc.bias' in weights else ''
    print(f'{args.src}: SepViT {arch}, {kind}{classes}, {len(weights)} tensors, {size:.2f} M parameters')
    print(f"{args.dst}: written; load it with init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')")
    if any(mismatch):
        print(f'In a dense backbone {describe(mismatch)}.')


def _from_official(state: dict[str, Tensor]) -> tuple[str, str, dict[str, Tensor]]:
    weights = convert_official_state_dict(state)
    arch = guess_arch(weights)
    if arch is None:
        raise UserError('it has not the depths and channels of SepViT lite, tiny, small or base.')
    return arch, 'classification' if any(name.endswith('.window_token') for name in weights) else 'dense', weights


def _from_swin(state: dict[str, Tensor], images: Tensor) -> tuple[str, str, dict[str, Tensor]]:
    arch, model = start_from_swin(state, images)
    return arch, 'dense, from a Swin Transformer', {f'backbone.{name}': w for name, w in model.state_dict().items()}


def _read_images(src: str, folder: str | None) -> Tensor:
    """Images of a folder, from its first to its last: (B, 3, H, W), normalised as ImageNet's."""
    if folder is None:
        raise UserError(
            f"'{src}' is a Swin Transformer, and SepViT needs pictures to start from it.\n"
            'Name a folder of some: --images FOLDER. They need no labels.'
        )
    files = images_in(folder)
    if len(files) < _FEWEST:
        raise UserError(f"--images '{folder}': {len(files)} pictures are too few; {_FEWEST} or more are needed.")
    chosen = [files[int(i)] for i in np.linspace(0, len(files) - 1, min(_IMAGES, len(files)))]
    squares = np.stack([cv2.resize(read_image(str(file), _SIDE), (_SIDE, _SIDE)) for file in chosen])  # (B, H, W, 3)
    return torch.from_numpy((squares - np.float32(MEAN)) / np.float32(STD)).permute(0, 3, 1, 2)
