"""Opening files in the runtimes that they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

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
        UserError: The runtime is not installed.
    """
    threads = threads or torch.get_num_threads()
    if backend == 'onnxruntime':
        return _onnxruntime(file, threads)
    return _openvino(file, precision, threads) if backend == 'openvino' else _torchscript(file)


def _onnxruntime(file: Path, threads: int) -> Run:
    onnxruntime = needed('onnxruntime', '--backend onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, ['CPUExecutionProvider'])
    return lambda images: session.run(None, {'images': images})


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
