"""The command line of ``tools/show_attention.py``."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS

from ..checkpoints.fits import check_fits
from ..checkpoints.read import read_checkpoint, reading_safely
from ..configs.load import load_config
from ..configs.preflight import check_stack, check_work_dir
from ..datasets.images import normalised, read_image
from ..errors import UserError
from ..models import SepViT
from ..visualize import draw_window_attention, window_attention
from .command import Parser, add_trust, whole_number


def main(argv: list[str]) -> None:
    """Draws the attention weights of every block for an image.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments or the files must be put right.
    """
    parser = Parser('show_attention.py', 'Draws what a window draws on: PSA among windows, DSA inside, as PNG files.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('image', help='image file')
    parser.add_argument('--out', required=True, metavar='FOLDER', help='where to write a picture a block')
    parser.add_argument(
        '--point',
        nargs=2,
        type=float,
        metavar=('X', 'Y'),
        help='chooses the window, as fractions of the width and the height (default: 0.5 0.5, the middle)',
    )
    parser.add_argument(
        '--size',
        type=whole_number(1),
        default=512,
        help='longer side of the image in pixels, as resized (default: 512)',
    )
    add_trust(parser)
    args = parser.parse_args(argv)
    config = load_config(args.config)
    check_stack(config.default_scope)
    check_work_dir(args.out, '--out')
    image = read_image(args.image, args.size)
    with reading_safely(args.trust):
        backbone = _load_backbone(config, args.checkpoint)
    x, y = args.point or (0.5, 0.5)
    point = (x * image.shape[1], y * image.shape[0])
    for attention in window_attention(backbone, normalised(image, config)):
        file = Path(args.out) / f'{attention.name}.png'
        draw_window_attention(attention, image, point, file)
        print(file)


def _load_backbone(config: Config, path: str) -> SepViT:
    checkpoint = read_checkpoint(path)
    check_fits(path, checkpoint, config)
    wanted = {key: value for key, value in copy.deepcopy(config.model.backbone).items() if key != 'init_cfg'}
    backbone = MODELS.build(wanted)
    if not isinstance(backbone, SepViT):
        raise UserError(f"config '{config.filename}' has a {type(backbone).__name__} as its backbone, not a SepViT.")
    prefix = re.compile(r'^(module\.)?backbone\.')
    state = {prefix.sub('', key): value for key, value in checkpoint['state_dict'].items() if prefix.match(key)}
    backbone.load_state_dict(state)
    return backbone.eval()
