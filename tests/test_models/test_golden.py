"""The backbone computes what the published implementation computes: outputs and gradient, in float64 and float32."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import torch
from torch import Tensor

from mmsepvit import SepViT, convert_official_state_dict


def run(case: golden.Case, dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor]:
    """Outputs, loss and image gradient of this project's model on the case's weights and image."""
    weights = convert_official_state_dict(golden.official_weights(case.kind, case.arch))
    weights = {name: weight.to(dtype) for name, weight in weights.items()}
    if case.kind == 'dense':
        model = SepViT(case.arch)
    else:
        model = SepViT(case.arch, out_indices=(3,), window_token='learnable', single_window_psa=False)
    model = model.to(dtype).eval()
    backbone = {name[9:]: weight for name, weight in weights.items() if name.startswith('backbone.')}
    model.load_state_dict(backbone, strict=True)
    image = golden.image(case.size, case.batch).to(dtype).requires_grad_()
    outs = list(model(image))
    if case.kind == 'classification':
        outs = [torch.nn.functional.linear(outs[0].mean((2, 3)), weights['head.fc.weight'], weights['head.fc.bias'])]
    loss = golden.loss(outs)
    (grad,) = torch.autograd.grad(loss, image)
    return outs, loss.detach(), grad


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-8), (torch.float32, 1e-4)], ids=['f64', 'f32'])
@pytest.mark.parametrize('case', golden.cases(), ids=str)
def test_golden(case: golden.Case, dtype: torch.dtype, tolerance: float) -> None:
    expected = np.load(case.path)
    outs, loss, grad = run(case, dtype)

    def check(got: Tensor | float, name: str) -> None:
        want = expected[name]
        got = np.asarray(got.detach() if isinstance(got, Tensor) else got, dtype=np.float64)
        # Relative to the largest value: single values close to zero have no digits of their own.
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max(), name

    assert not any(f'out{len(outs)}_shape' in key for key in expected.files)
    for i, out in enumerate(outs):
        assert tuple(out.shape) == tuple(expected[f'out{i}_shape'])
        check(out.reshape(-1)[torch.from_numpy(expected[f'out{i}_index'])], f'out{i}_value')
        # The mean of an output after LayerNorm cancels to nearly nothing: its size is that of the values.
        assert abs(out.double().mean().item() - expected[f'out{i}_mean']) <= tolerance * expected[f'out{i}_std']
        check(out.double().std(), f'out{i}_std')
    check(loss, 'loss')
    check(grad.double().norm(), 'grad_norm')
    check(grad.reshape(-1)[torch.from_numpy(expected['grad_index'])], 'grad_value')


def test_every_golden_file_is_there() -> None:
    kinds = {(case.kind, case.arch, case.size) for case in golden.cases()}
    assert kinds == {
        ('classification', 'lite', (224, 224)),
        ('classification', 'tiny', (224, 224)),
        ('dense', 'tiny', (224, 224)),
        ('dense', 'tiny', (200, 330)),
    }
