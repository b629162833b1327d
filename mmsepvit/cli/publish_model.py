"""The command line of ``tools/publish_model.py``: a training's checkpoint as a file of weights for others."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.fits import guess_arch
from ..checkpoints.read import first_not_finite, read_checkpoint, reading_safely
from ..checkpoints.write import check_destination, encode_weights, write_whole
from ..errors import UserError
from ..version import __version__
from .command import Parser, add_trust

_DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}

# What the first part of a parameter's name says of the model.
_TASKS = {
    'decode_head': 'segmentation',
    'rpn_head': 'detection',
    'roi_head': 'detection',
    'bbox_head': 'detection',
    'head': 'classification',
}


def main(argv: list[str]) -> None:
    """Writes the weights of a checkpoint alone, with what they are, and prints the file's name.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: The checkpoint cannot be read, or the file cannot be written or is there already.
    """
    parser = Parser('publish_model.py', 'Writes the weights of a checkpoint without the state of its training.')
    parser.add_argument('checkpoint', metavar='CKPT', help='checkpoint of a training')
    parser.add_argument(
        'out', metavar='OUT', type=Path, help='.safetensors or .pth file; the hash of its content is added to its name'
    )
    parser.add_argument(
        '--weights',
        choices=('averaged', 'trained'),
        default='averaged',
        help="of a training with EMA, the averaged weights or the optimizer's own (default: averaged)",
    )
    parser.add_argument('--dtype', choices=_DTYPES, help='type of numbers to write (default: as they are)')
    add_trust(parser)
    args = parser.parse_args(argv)
    check_destination(args.out)
    with reading_safely(args.trust):
        checkpoint = read_checkpoint(args.checkpoint)
    weights = _weights(args.checkpoint, checkpoint, args.weights)
    if args.dtype:
        dtype = _DTYPES[args.dtype]
        weights = {key: value.to(dtype) if value.is_floating_point() else value for key, value in weights.items()}
        name = first_not_finite(weights)
        if name is not None:
            raise UserError(f"'{args.checkpoint}': {name} is too large for {args.dtype}; take another --dtype.")
    meta = _describe(checkpoint, weights)
    content = encode_weights(weights, meta, args.out.suffix)
    path = args.out.with_name(f'{args.out.stem}-{sha256(content).hexdigest()[:8]}{args.out.suffix}')
    check_destination(path)
    write_whole(content, path)
    parts = ', '.join(f'{key}={value}' for key, value in meta.items() if key != 'classes')
    print(f'{path}: {len(weights)} tensors, {len(content) / 1e6:.1f} MB ({parts})')


def _weights(path: str, checkpoint: dict[str, Any], which: str) -> dict[str, Tensor]:
    """The averaged weights are the checkpoint's own: mmengine's EMA puts the trained ones aside when it saves."""
    if which == 'averaged':
        return checkpoint['state_dict']
    aside = checkpoint.get('ema_state_dict')
    if aside is None:
        raise UserError(f"'{path}' is of a training without EMA: there are no other weights than the trained ones.")
    return {name.removeprefix('module.'): value for name, value in aside.items() if name.startswith('module.')}


def _describe(checkpoint: dict[str, Any], weights: dict[str, Tensor]) -> dict[str, Any]:
    """Plain values that say what weights are, as far as the checkpoint tells."""
    meta = checkpoint['meta']
    classes = (meta.get('dataset_meta') or {}).get('classes')
    found = {
        'arch': guess_arch(weights),
        'task': next((task for part, task in _TASKS.items() if any(n.startswith(f'{part}.') for n in weights)), None),
        'config': re.sub(r'_\d{8}_\d{6}$', '', meta.get('experiment_name') or '') or None,
        'step': meta.get('iter'),
        'classes': list(classes) if classes else None,
        'mmsepvit_version': __version__,
    }
    return {key: value for key, value in found.items() if value is not None}
