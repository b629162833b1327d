"""Writing a network as ONNX, OpenVINO's IR or TorchScript."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .packages import needed

SUFFIX = {'onnxruntime': '.onnx', 'openvino': '.xml', 'torchscript': '.pt'}
"""How the name of a file ends, by the runtime that it is for."""

OPSET = 17
"""Version of ONNX's operators that is written: the first with LayerNormalization."""

_AXES = {'none': {}, 'batch': {0: 'batch'}, 'size': {0: 'batch', 2: 'height', 3: 'width'}}


def write_onnx(
    network: nn.Module,
    images: Tensor,
    file: Path,
    outputs: Sequence[str],
    dynamic: str = 'none',
    opset: int = OPSET,
    slim: bool = True,
) -> None:
    """Writes a network as ONNX with PyTorch's tracing exporter.

    Args:
        network: In evaluation mode; takes images, returns a tuple.
        images: Images (B, C, H, W) to trace it with.
        file: Where to.
        outputs: Names of the outputs; the input is called ``images``.
        dynamic: What of the input's shape is left open: 'none', 'batch', or 'size': batch, height and width. Defaults
            to 'none'.
        opset: Version of ONNX's operators. Defaults to `OPSET`.
        slim: Whether onnxslim folds constants and removes what is computed twice. Defaults to True.

    Raises:
        UserError: A package is not installed.
        torch.onnx.errors.OnnxExporterError: A layer cannot be written so.
    """
    onnx = needed('onnx', 'a file for ONNX Runtime or OpenVINO')
    axes = _AXES[dynamic]
    # An output's height and width follow from the graph; named, they would be said to be independent of the input's.
    names = {'images': axes, **{name: {0: 'batch'} for name in outputs}} if axes else None
    newer_is_the_default = torch.__version__ >= '2.5'
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of the tracer, on what tests compare at other sizes
        torch.onnx.export(
            network,
            (images,),
            str(file),
            opset_version=opset,
            input_names=['images'],
            output_names=list(outputs),
            dynamic_axes=names,
            **({'dynamo': False} if newer_is_the_default else {}),
        )
    if slim:
        onnx.save(needed('onnxslim', 'a file for ONNX Runtime or OpenVINO').slim(str(file)), str(file))


def write_openvino(onnx_file: Path, file: Path, half: bool = False) -> None:
    """Writes an ONNX file as OpenVINO's IR: ``file`` and, beside it, the weights in a ``.bin`` file.

    Args:
        onnx_file: The ONNX file.
        file: The ``.xml`` file.
        half: Whether weights are kept in 16 bits. Defaults to False.
    """
    openvino = needed('openvino', 'a file for OpenVINO')
    openvino.save_model(openvino.convert_model(str(onnx_file)), str(file), compress_to_fp16=half)


def write_torchscript(network: nn.Module, images: Tensor, file: Path) -> None:
    """Writes a network as TorchScript by tracing, which PyTorch checks by a second trace."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        torch.jit.trace(network, images).save(str(file))
