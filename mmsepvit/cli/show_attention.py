"""The command line of ``tools/show_attention.py``."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor

from ..checkpoints.fits import check_fits
from ..checkpoints.read import read_checkpoint, reading_safely
from ..configs.load import load_config
from ..configs.preflight import check_stack, check_work_dir
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
    image = _read_image(args.image, args.size)
    with reading_safely(args.trust):
        backbone = _load_backbone(config, args.checkpoint)
    x, y = args.point or (0.5, 0.5)
    point = (x * image.shape[1], y * image.shape[0])
    for attention in window_attention(backbone, _normalised(image, config)):
        file = Path(args.out) / f'{attention.name}.png'
        draw_window_attention(attention, image, point, file)
        print(file)


def _read_image(path: str, size: int) -> np.ndarray:
    """An image, uint8 (H, W, 3), red, green and blue, its longer side of a size."""
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"image '{path}' is missing or cannot be read as an image.")
    scale = size / max(image.shape[:2])
    shape = [max(round(side * scale), 1) for side in image.shape[1::-1]]
    image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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


def _normalised(image: np.ndarray, config: Config) -> Tensor:
    """The image (3, H, W) as the config's preprocessor hands it to the backbone."""
    settings: Mapping[str, Any] = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    is_rgb = settings.get('bgr_to_rgb') or settings.get('to_rgb')
    values = np.ascontiguousarray(image if is_rgb else image[..., ::-1], dtype=np.float32)
    values = (values - np.float32(settings.get('mean', 0))) / np.float32(settings.get('std', 1))
    return torch.from_numpy(values).permute(2, 0, 1)
