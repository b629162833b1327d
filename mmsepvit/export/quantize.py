"""Smaller numbers in an ONNX file: 8-bit integers after calibration, 16-bit floats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .packages import needed


def quantize_onnx(file: Path, calibration: Sequence[np.ndarray]) -> None:
    """Turns products and convolutions of an ONNX file into 8-bit ones, with ONNX Runtime's static quantization.

    Args:
        file: The file, changed in place.
        calibration: Images (B, C, H, W) whose activations give the ranges.
    """
    quantization: Any = needed('onnxruntime.quantization', '--precision int8')
    feeds = iter([{'images': batch} for batch in calibration])
    reader = type('Reader', (quantization.CalibrationDataReader,), {'get_next': lambda self: next(feeds, None)})()
    quantization.quantize_static(
        str(file),
        str(file),
        reader,
        # Norms, softmax and GELU stay in floating point: they are cheap, and their ranges are long.
        op_types_to_quantize=['Conv', 'Gemm', 'MatMul'],
        per_channel=True,
        # ONNX Runtime's own kernels for products of two activations lose what attention needs: features of Lite's last
        # stage have a cosine of 0.96 with them and 0.9998 without.
        nodes_to_exclude=_products_of_activations(file),
    )


def _products_of_activations(file: Path) -> list[str]:
    graph = needed('onnx', '--precision int8').load(str(file)).graph
    weights = {weight.name for weight in graph.initializer}
    return [node.name for node in graph.node if node.op_type == 'MatMul' and weights.isdisjoint(node.input)]


def to_half(file: Path) -> None:
    """Turns the numbers of an ONNX file into 16-bit floats; images and outputs stay in 32 bits."""
    onnx = needed('onnx', '--precision fp16')
    half = needed('onnxruntime.transformers.float16', '--precision fp16')
    onnx.save(half.convert_float_to_float16(onnx.load(str(file)), keep_io_types=True), str(file))
