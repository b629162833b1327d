"""The command line of ``tools/web_demo.py``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmengine.config import Config

from ..checkpoints.fits import check_fits
from ..checkpoints.read import read_checkpoint, reading_safely
from ..configs.load import load_config
from ..configs.preflight import check_stack
from ..configs.shipped import config as shipped_config
from ..errors import UserError
from .command import Parser, add_trust, whole_number

_DEMO = Path('work_dirs/demo')
_LITE = 'mmsepvit://sepvit_lite_distilled'
_NO_HEAD = 'They have no head: in place of a prediction, the features at stride 16 by their three main directions. '


def main(argv: list[str]) -> None:
    """Serves the page until it is interrupted.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments, the files or the installation must be put right.
    """
    parser = Parser('web_demo.py', 'Serves a page on which to drop an image and see what a model makes of it.')
    parser.add_argument('config', nargs='?', help="config file (default: that of `make demo`'s model, if there is one)")
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint (default: that, else the weights of the package)')
    parser.add_argument('--exported', metavar='FILE', help='ONNX file of the model or its backbone, to be timed beside')
    parser.add_argument('--device', default='cpu', help='where PyTorch computes (default: cpu)')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at (default: 127.0.0.1, this machine)')
    parser.add_argument('--port', type=whole_number(0, 65535), default=7860, help='port (default: 7860; 0: a free one)')
    parser.add_argument('--max-megabytes', type=whole_number(1), default=10, help='of a file (default: 10)')
    parser.add_argument('--max-megapixels', type=whole_number(1), default=25, help='of an image (default: 25)')
    add_trust(parser)
    args = parser.parse_args(argv)
    config, checkpoint, title = _model(args)
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # read when gradio is imported; nothing is sent anywhere
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("the page needs gradio, and so Python 3.10: pip install 'mmsepvit[web]'") from None
    from ..web.page import THEME, build_page
    from ..web.prediction import Predictor

    with reading_safely(args.trust):
        if checkpoint is not None:
            check_fits(checkpoint, read_checkpoint(checkpoint), config)
        predictor = Predictor(config, checkpoint, args.exported, args.device)
    note = '' if checkpoint else _NO_HEAD
    page = build_page(predictor, title, note, args.max_megabytes, args.max_megapixels)
    try:
        page.launch(
            server_name=args.host,
            server_port=args.port or _free_port(args.host),
            share=False,
            max_file_size=args.max_megabytes * 2**20,
            theme=THEME,
            footer_links=[],
        )
    except OSError as error:
        raise UserError(f'--host {args.host} --port {args.port}: {error}') from None


def _model(args: argparse.Namespace) -> tuple[Config, str | None, str]:
    """The config, the checkpoint or None for the package's weights, and what to call them on the page."""
    config, checkpoint = args.config, args.checkpoint
    if config is None:
        demo = next(((task, _DEMO / task / 'train') for task in ('seg', 'det', 'cls') if _trained(_DEMO / task)), None)
        if demo is None:
            lite = load_config(shipped_config('upernet_sepvit_lite_ade20k'))
            lite.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=_LITE, prefix='backbone.')
            return lite, None, 'SepViT-Lite, weights of the package'
        checkpoint = (demo[1] / 'last_checkpoint').read_text(encoding='utf-8').strip()
        config = str(next(file for file in sorted(demo[1].glob('*.py')) if not file.stem.endswith('_test')))
    elif checkpoint is None:
        raise UserError(f"a checkpoint is to follow the config '{config}'.")
    loaded = load_config(config)
    check_stack(loaded.default_scope)
    return loaded, checkpoint, Path(config).stem


def _trained(folder: Path) -> bool:
    return (folder / 'train' / 'last_checkpoint').is_file()


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
