"""The backbone by every exporter: right at every size whatever the traced one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dev import export_parity as parity

from mmsepvit import SepViT
from mmsepvit.export.write import write_onnx

MICRO = {'channels': (8, 16), 'depths': (1, 2), 'num_heads': (2, 2), 'window_sizes': ((3,), (2, 4))}
KINDS = {
    'zero': dict(window_token='zero'),
    'shared': dict(window_token='shared'),
    'learnable': dict(window_token='learnable'),
    'classifier': dict(window_token='learnable', out_indices=(1,), single_window_psa=False, input_size=16),
}
SIZES = ((1, 1), (7, 5), (40, 40), (33, 58))
NEWER = pytest.mark.skipif(torch.__version__ < '2.7', reason='torch 2.1 has no such exporter, or one with other bounds')


def micro(kind: str) -> SepViT:
    return parity.randomised(SepViT(MICRO, **{'input_size': 40, 'out_indices': (0, 1), **KINDS[kind]}))


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('exporter', ['onnx-11', 'onnx-17', 'jit'])
@pytest.mark.parametrize(
    ('kind', 'traced_at'),
    [
        ('zero', (17, 26)),
        ('shared', (17, 26)),
        ('learnable', (17, 26)),
        ('learnable', (40, 40)),  # the size that its tokens were trained at
        ('classifier', (17, 26)),
    ],
    ids=str,
)
def test_a_trace_is_right_at_every_size_and_batch(
    kind: str, exporter: str, traced_at: tuple[int, int], tmp_path: Path
) -> None:
    model = micro(kind)
    called = parity.EXPORTERS[exporter](model, torch.rand(2, 3, *traced_at), tmp_path / 'model.onnx')
    assert parity.worst(model, called, SIZES) < 1e-5


@NEWER
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', ['zero', 'learnable'])
def test_a_program_is_right_at_every_size_and_batch(kind: str, tmp_path: Path) -> None:
    # Learnable tokens at the very size that they were trained at: where a program would skip their resizing.
    model = micro(kind)
    called = parity.by_program(model, torch.rand(2, 3, 40, 40), tmp_path)
    assert parity.worst(model, called, ((33, 33), (40, 40), (33, 58), (90, 41))) < 1e-5


@NEWER
@pytest.mark.filterwarnings('ignore')
def test_onnx_of_a_program_is_right_at_every_size_and_batch(tmp_path: Path) -> None:
    model = micro('learnable')
    called = parity.by_dynamo(model, torch.rand(2, 3, 40, 40), tmp_path / 'model.onnx')
    assert parity.worst(model, called, ((33, 33), (40, 40), (33, 58))) < 1e-5


@pytest.mark.parametrize('opset', [11, 17])
@pytest.mark.parametrize('kind', ['shared', 'learnable'])
def test_operators_are_those_that_runtimes_have(kind: str, opset: int, tmp_path: Path) -> None:
    model, file = micro(kind), tmp_path / 'model.onnx'
    write_onnx(model, torch.rand(2, 3, 40, 40), file, parity.names(model), 'size', opset)
    assert set(parity.count(file)) <= parity.OPERATORS


@pytest.mark.parametrize(('dynamic', 'most'), [pytest.param('none', 900, marks=pytest.mark.slow), ('size', 1500)])
def test_nodes_of_lite(dynamic: str, most: int, tmp_path: Path) -> None:
    model, file = SepViT('lite').eval(), tmp_path / 'model.onnx'
    write_onnx(model, torch.rand(2, 3, 224, 224), file, parity.names(model), dynamic)
    nodes = parity.count(file)
    assert sum(nodes.values()) <= most
    assert set(nodes) <= parity.OPERATORS
