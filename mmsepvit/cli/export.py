"""The command line of ``tools/export.py``: a checkpoint as a file for another runtime, checked against PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ..checkpoints.fits import check_fits
from ..checkpoints.read import read_checkpoint, reading_safely
from ..config_tree import model_settings
from ..configs.preflight import check_parts, check_work_dir
from ..datasets.images import images_in
from ..errors import UserError
from ..evaluation.flops import DEFAULT_SHAPES
from ..export.agreement import Agreement, compare
from ..export.networks import Features, Logits, Run, one_by_one
from ..export.quantize import quantize_onnx, to_half
from ..export.runtimes import open_file
from ..export.write import SUFFIX, write_onnx, write_openvino, write_torchscript
from .command import Parser, whole_number
from .running import add_common, build, load, look_for_data

# What a file may differ by: the most of all outputs, relative to the largest value, and the least cosine similarity.
_LIMITS = {'fp32': (1e-4, 0.9999), 'fp16': (np.inf, 0.999), 'int8': (np.inf, 0.97)}
_CALIBRATION = 32


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the arguments of ``tools/export.py``."""
    parser = Parser(
        'export.py',
        'Writes a checkpoint as a file for ONNX Runtime, OpenVINO or TorchScript, if it agrees with PyTorch.',
        epilog='The file takes normalised images (B, 3, H, W) in float32. Whole segmentors and detectors, with what '
        'they do after the network: docs/export.md.',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('out', metavar='OUT', type=Path, help=f'file to write: {", ".join(SUFFIX.values())}')
    parser.add_argument('--backend', choices=SUFFIX, default='onnxruntime', help='(default: onnxruntime)')
    parser.add_argument(
        '--part',
        choices=('model', 'backbone'),
        help="what is exported: the model's logits, or the feature maps of its backbone (default: logits of a "
        'classifier, feature maps of all others)',
    )
    parser.add_argument(
        '--shape',
        nargs=2,
        type=whole_number(1),
        metavar=('H', 'W'),
        help='height and width of the images (default: 224 224 for classification, 512 2048 for segmentation, 800 1280 '
        'for detection; with --precision int8, those of the test data)',
    )
    parser.add_argument(
        '--dynamic',
        choices=('none', 'batch', 'size'),
        default='none',
        help='what the file leaves open: nothing, the batch, or batch, height and width (default: none, the fastest). '
        'A TorchScript file takes any.',
    )
    parser.add_argument(
        '--precision',
        choices=_LIMITS,
        default='fp32',
        help='int8 looks at some of the test data, and measures on all of it before and after (default: fp32)',
    )
    parser.add_argument(
        '--check', nargs='+', metavar='IMAGES', help='image files or folders to compare on (default: generated ones)'
    )
    add_common(parser)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    """Exports a checkpoint, compares the file with PyTorch, and keeps it if they agree.

    Args:
        argv: Arguments of the command line, without the program's name.

    Raises:
        UserError: Something about the arguments or the files must be put right, or the file does not agree.
    """
    args = parse(argv)
    _check_arguments(args)
    with reading_safely(args.trust):
        config, notes = load(args)
        check_fits(args.checkpoint, read_checkpoint(args.checkpoint), config)
        runner = _runner(config, notes, args) if args.precision == 'int8' else None
        model = runner.model if runner else _model(config, args.checkpoint)
    model.cpu().eval()
    network = _part(model, config, args.part)
    calibration = _calibration(runner) if runner else []
    shape = tuple(args.shape or (calibration[0].shape[2:] if calibration else DEFAULT_SHAPES[config.default_scope]))
    if any(tuple(images.shape[2:]) != shape for images in calibration) and args.dynamic != 'size':
        raise UserError(
            f'--precision int8: the test data have other sizes than {shape[0]}x{shape[1]}, and the file is to be '
            'measured on them.\nTake --dynamic size.'
        )
    channels = config.model.backbone.get('in_channels', 3)
    batches = [_preprocessed(model, images) for images in _batches(args, shape, channels)]
    with TemporaryDirectory(dir=args.out.parent, prefix='.mmsepvit-') as folder:
        file = Path(folder) / args.out.name
        _write(network, file, shape, channels, args, calibration)
        run = _explained(open_file(file, args.backend), args)
        rows = compare(network, run, batches)
        _print(rows, network, args)
        _check_agreement(rows, args)
        if runner:
            _measure(runner, network, run if args.dynamic != 'none' else one_by_one(run))
        for written in sorted(
            Path(folder).glob(f'{args.out.stem}.*')
        ):  # OpenVINO's weights come before what names them
            written.replace(args.out.with_name(written.name))
    print(f'{args.out}: {args.out.stat().st_size / 1e6:.1f} MB')


def _check_arguments(args: argparse.Namespace) -> None:
    suffix = SUFFIX[args.backend]
    if args.out.suffix != suffix:
        raise UserError(f"'{args.out}': a file for {args.backend} is to end in {suffix}.")
    if args.out.exists():
        raise UserError(f"'{args.out}' exists already; choose another name.")
    check_work_dir(str(args.out.parent), 'OUT')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.backend == 'openvino' and args.dynamic != 'none':
        raise UserError(
            f'--dynamic {args.dynamic}: where a file leaves its shape open, OpenVINO 2025.3 and 2026.4 compute wrong '
            'features at some sizes.\nLeave --dynamic out, and give the size with --shape.'
        )
    if args.backend == 'torchscript' and args.precision != 'fp32':
        raise UserError(f'--precision {args.precision}: --backend torchscript writes fp32 alone.')


def _model(config: Config, path: str) -> nn.Module:
    wanted = model_settings(config)
    wanted.pop('init_cfg', None)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(wanted)
    load_state_dict(model, read_checkpoint(path)['state_dict'])
    return model


def _runner(config: Config, notes: list[str], args: argparse.Namespace) -> Runner:
    """What measures on the test data, its model loaded."""
    check_parts(config, 'test')
    config.update(load_from=args.checkpoint, resume=False)
    look_for_data(config, args.mini, ('test',))
    runner = build(config, notes)
    runner.load_or_resume()
    return runner


def _part(model: nn.Module, config: Config, part: str | None) -> Features | Logits:
    is_classifier = config.default_scope == 'mmpretrain' and hasattr(model, 'head')
    if part is None:
        part = 'model' if is_classifier else 'backbone'
    if part == 'backbone':
        return Features(model).eval()
    if not is_classifier and not hasattr(model, 'decode_head'):
        raise UserError(
            f'--part model: a {type(model).__name__} is more than a network with one output.\n'
            'Leave --part out for the feature maps of its backbone; docs/export.md has the way for the whole.'
        )
    return Logits(model).eval()


def _calibration(runner: Runner) -> list[Tensor]:
    """The first test images, normalised, (1, C, H, W) each."""
    batches = (runner.model.data_preprocessor(data, False)['inputs'] for data in runner.test_loop.dataloader)
    return list(islice(chain.from_iterable(images.cpu().split(1) for images in batches), _CALIBRATION))


def _batches(args: argparse.Namespace, shape: tuple[int, int], channels: int) -> Iterator[list[np.ndarray]]:
    """Batches of images, uint8 (H, W, C) each, as OpenCV reads them."""
    if args.check:
        for path in _image_files(args.check):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise UserError(f"--check '{path}' is missing or cannot be read as an image.")
            yield [image if args.dynamic == 'size' else cv2.resize(image, shape[::-1])]
        return
    drawn = np.random.default_rng(0)

    def generated(height: int, width: int) -> np.ndarray:
        coarse = drawn.integers(0, 256, (8, 8, channels), dtype=np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)

    yield [generated(*shape)]
    if args.dynamic != 'none':
        yield [generated(*shape) for _ in range(3)]
    if args.dynamic == 'size':
        yield [generated(shape[0] * 3 // 4 + 1, shape[1] // 2 + 3) for _ in range(2)]


def _image_files(names: list[str]) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, names):
        inside = images_in(path)
        if path.is_dir() and not inside:
            raise UserError(f"--check '{path}': there are no images in this folder.")
        files += inside if path.is_dir() else [path]
    return files


def _preprocessed(model: nn.Module, images: list[np.ndarray]) -> Tensor:
    """The model's own normalisation, and padding where it has one: (B, C, H, W)."""
    tensors = [{'inputs': torch.from_numpy(image).permute(2, 0, 1).contiguous()} for image in images]
    return model.data_preprocessor(pseudo_collate(tensors), False)['inputs'].float()


def _write(
    network: Features | Logits,
    file: Path,
    shape: tuple[int, int],
    channels: int,
    args: argparse.Namespace,
    calibration: list[Tensor],
) -> None:
    # Traced with one image, it would be of one for good.
    images = torch.rand(1 if args.dynamic == 'none' else 2, channels, *shape)
    if args.backend == 'torchscript':
        write_torchscript(network, images, file)
        return
    with TemporaryDirectory() as folder:
        onnx_file = Path(folder) / 'network.onnx' if args.backend == 'openvino' else file
        try:
            write_onnx(network, images, onnx_file, network.outputs, args.dynamic)
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(
                f'PyTorch cannot write this network as ONNX: {str(error).splitlines()[0]}\n'
                'Leave --part out for the feature maps of its backbone; docs/export.md has the way for the whole.'
            ) from None
        if args.precision == 'int8':
            quantize_onnx(onnx_file, [images.numpy() for images in calibration])
        if args.backend == 'openvino':
            write_openvino(onnx_file, file, half=args.precision == 'fp16')
        elif args.precision == 'fp16':
            to_half(file)


def _explained(run: Run, args: argparse.Namespace) -> Run:
    """The same, with what a runtime says of images that it cannot compute with."""

    def run_or_explain(images: np.ndarray) -> Sequence[np.ndarray]:
        try:
            return run(images)
        except Exception as error:  # each runtime has its own
            size = 'x'.join(map(str, images.shape))
            raise UserError(
                f"'{args.out}' is not written: {args.backend} cannot run it on images {size}.\n"
                f'{str(error).splitlines()[0][:200]}'
            ) from None

    return run_or_explain


def _print(rows: list[Agreement], network: Features | Logits, args: argparse.Namespace) -> None:
    table = Table(title=f'{", ".join(network.outputs)} of {args.checkpoint}')
    for column in ('images', 'difference', 'cosine', 'PyTorch, ms', f'{args.backend}, ms', 'ratio'):
        table.add_column(column, justify='right', no_wrap=True)
    for row in rows:
        table.add_row(
            'x'.join(map(str, row.shape)),
            f'{row.difference:.1e}',
            f'{row.cosine:.6f}',
            f'{row.torch_seconds * 1000:.1f}',
            f'{row.file_seconds * 1000:.1f}',
            f'{row.ratio:.2f}',
        )
    Console().print(table)


def _check_agreement(rows: list[Agreement], args: argparse.Namespace) -> None:
    most, least = _LIMITS[args.precision]
    for row in rows:
        if not (row.difference <= most and row.cosine >= least):
            raise UserError(
                f"'{args.out}' is not written: on images {'x'.join(map(str, row.shape))} it differs from PyTorch by "
                f'{row.difference:.1e} of the largest value, cosine {row.cosine:.4f}; allowed for {args.precision} are '
                f'{most:.0e} and {least}.'
            )


def _measure(runner: Runner, network: Features | Logits, run: Run) -> None:
    """Prints the metrics of the test data, of PyTorch and of the file."""
    before = runner.test()
    network.replace(run)
    after = runner.test()
    table = Table(title='test data')
    for column in ('metric', 'PyTorch', 'int8'):
        table.add_column(column, justify='left' if column == 'metric' else 'right')
    for name, value in before.items():
        if isinstance(value, (int, float)):
            table.add_row(name, _short(value), _short(after[name]))
    Console().print(table)


def _short(value: Any) -> str:
    return f'{value:.4g}'
