"""Opening files in the runtimes that they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..errors import UserError
from .networks import Run
from .packages import needed


def open_file(file: Path, backend: str, precision: str = 'fp32', threads: int | None = None) -> Run:
    """Opens an exported file on the CPU.

    Args:
        file: The file.
        backend: 'onnxruntime', 'openvino' or 'torchscript'.
        precision: What OpenVINO may compute floating-point layers in: 'fp32', 'fp16' or 'bf16'; its own choice would be
            the fastest that the processor has. The other runtimes compute as the file says. Defaults to 'fp32'.
        threads: Defaults to PyTorch's number.

    Returns:
        A function of images (B, C, H, W).

    Raises:
        UserError: The runtime is not installed, or ONNX Runtime cannot read the file. The function raises it where an
            ONNX file is bound to another size.
    """
    threads = threads or torch.get_num_threads()
    if backend == 'onnxruntime':
        return _onnxruntime(file, threads)
    return _openvino(file, precision, threads) if backend == 'openvino' else _torchscript(file)


def _onnxruntime(file: Path, threads: int) -> Run:
    onnxruntime = needed('onnxruntime', 'an ONNX file')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(file), options, ['CPUExecutionProvider'])
        (taken,) = session.get_inputs()
    except Exception as error:  # of no common class
        raise UserError(f"ONNX Runtime cannot read '{file}': {str(error).splitlines()[0]}") from None

    def run(images: np.ndarray) -> list[np.ndarray]:
        wanted = tuple(side if isinstance(side, int) else found for side, found in zip(taken.shape, images.shape))
        if wanted != images.shape:
            raise UserError(
                f'The exported file takes images of the shape {wanted} alone, and this one comes to it as '
                f'{images.shape}: export with --dynamic size.'
            )
        return session.run(None, {taken.name: images})

    return run


def _openvino(file: Path, precision: str, threads: int) -> Run:
    core = needed('openvino', '--backend openvino').Core()
    settings = {
        'INFERENCE_PRECISION_HINT': {'fp32': 'f32', 'fp16': 'f16', 'bf16': 'bf16'}[precision],
        'INFERENCE_NUM_THREADS': threads,
        'PERFORMANCE_HINT': 'LATENCY',
    }
    compiled = core.compile_model(str(file), 'CPU', settings)
    return lambda images: list(compiled(images).values())


def _torchscript(file: Path) -> Run:
    network = torch.jit.load(str(file))

    @torch.inference_mode()
    def run(images: np.ndarray) -> list[np.ndarray]:
        return [out.numpy() for out in network(torch.from_numpy(images))]

    return run
