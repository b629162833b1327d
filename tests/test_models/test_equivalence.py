"""The backbone against the plain implementation (`plain_sepvit`): random architectures, sizes, batches and tokens."""

from __future__ import annotations

import pytest
import torch
from dev import plain_sepvit
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsepvit import SepViT

TOKENS = ('zero', 'learnable', 'shared')


@st.composite
def archs(draw: st.DrawFn) -> dict:
    """Small architectures of one to four stages with mixed window sizes."""
    depths = draw(st.lists(st.integers(1, 2), min_size=1, max_size=4))
    heads = [draw(st.integers(1, 3)) for _ in depths]
    return {
        'depths': depths,
        'num_heads': heads,
        'channels': [h * draw(st.sampled_from([2, 4])) for h in heads],
        'window_sizes': [[draw(st.sampled_from([1, 2, 3, 7])) for _ in range(depth)] for depth in depths],
    }


def randomised(model: SepViT) -> SepViT:
    """The model in float64 with no weight at its special initial value (0 or 1), where mistakes hide."""
    generator = torch.Generator().manual_seed(1)
    model = model.double().eval()
    for parameter in model.parameters():
        with torch.no_grad():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(noise * (0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5))
    return model


def assert_equivalent(model: SepViT, images: torch.Tensor) -> None:
    """Outputs, in inference too, and the gradients of the image and of every parameter."""
    leaves = [images.requires_grad_(), *model.parameters()]
    results = []
    for outs in (model(images), plain_sepvit.sepvit(model, images)):
        weights = [torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out).sin() for out in outs]
        loss = sum((out * weight).sum() for out, weight in zip(outs, weights))
        results.append((list(outs), torch.autograd.grad(loss, leaves, allow_unused=True)))
    (outs, grads), (plain_outs, plain_grads) = results
    assert [out.shape for out in outs] == [out.shape for out in plain_outs]
    for got, want in zip(outs, plain_outs):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        inferred = model(images)
    for got, want in zip(inferred, plain_outs):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    names = ['image', *dict(model.named_parameters())]
    for name, got, want in zip(names, grads, plain_grads):
        assert got is not None, f'{name} gets no gradient'
        scale = want.abs().max().item() if want is not None else 0.0
        want = torch.zeros_like(got) if want is None else want
        torch.testing.assert_close(got, want, rtol=0, atol=1e-9 * max(scale, 1.0), msg=lambda m, n=name: f'{n}: {m}')


@settings(max_examples=25)
@given(
    arch=archs(),
    size=st.tuples(st.integers(1, 61), st.integers(1, 61)),
    batch=st.integers(1, 2),
    in_channels=st.integers(1, 4),
    window_token=st.sampled_from(TOKENS),
    single_window_psa=st.booleans(),
    input_size=st.sampled_from([8, 32, (40, 24)]),
    data=st.data(),
)
def test_random_models(arch, size, batch, in_channels, window_token, single_window_psa, input_size, data) -> None:
    stages = range(len(arch['depths']))
    out_indices = data.draw(st.sets(st.sampled_from(stages), min_size=1).map(sorted), label='out_indices')
    model = SepViT(
        arch,
        in_channels=in_channels,
        input_size=input_size,
        window_token=window_token,
        single_window_psa=single_window_psa,
        out_indices=out_indices,
    )
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(batch, in_channels, *size, generator=generator, dtype=torch.float64)
    assert_equivalent(randomised(model), images)


@pytest.mark.parametrize('size', [(224, 224), (65, 97), (3, 5)])
@pytest.mark.parametrize('window_token', TOKENS)
def test_lite(size: tuple[int, int], window_token: str) -> None:
    model = randomised(SepViT('lite', window_token=window_token))
    assert_equivalent(model, torch.randn(1, 3, *size, dtype=torch.float64))
