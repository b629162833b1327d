"""ONNX files of the backbone: right at every size whatever the traced one."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch
from dev import onnx_parity

from mmsepvit import SepViT

MICRO = {'channels': (8, 16), 'depths': (1, 2), 'num_heads': (2, 2), 'window_sizes': ((3,), (2, 4))}
SIZES = ((1, 1), (7, 5), (40, 40), (33, 58))


def opened(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, ['CPUExecutionProvider'])


@pytest.mark.parametrize('opset', [11, 17])
@pytest.mark.parametrize(
    'kind',
    [
        dict(window_token='zero'),
        dict(window_token='shared'),
        dict(window_token='learnable'),
        dict(window_token='learnable', out_indices=(1,), single_window_psa=False, input_size=16),
    ],
    ids=['zero', 'shared', 'learnable', 'classifier'],
)
def test_a_file_is_right_at_every_size_and_batch(kind: dict, opset: int, tmp_path: Path) -> None:
    model = onnx_parity.randomised(SepViT(MICRO, **{'input_size': 40, 'out_indices': (0, 1), **kind}))
    onnx_parity.export(model, tmp_path / 'model.onnx', opset, dynamic=True, exporter='trace', size=(17, 26))
    session = opened(tmp_path / 'model.onnx')
    for size in SIZES:
        for batch in (1, 3):
            assert onnx_parity.difference(model, session, torch.rand(batch, 3, *size)) < 1e-5, (size, batch)
