"""What users do with the modules of a backbone: hooks, pruning, adapters, quantisation, transforms, exports."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.utils import parametrizations, prune

from mmsepvit import SepViT

TOKENS = ('zero', 'learnable', 'shared')
MICRO = {'channels': (8, 16), 'depths': (1, 2), 'num_heads': (2, 2), 'window_sizes': ((3,), (2, 4))}


def micro(**kwargs) -> SepViT:
    """A small model in float64 with no parameter at its special initial value."""
    model = SepViT(**{'arch': MICRO, 'input_size': 40, 'out_indices': (0, 1), **kwargs}).double().eval()
    for parameter in model.parameters():
        if parameter.ndim in (1, 3):  # norms, biases and tokens
            nn.init.normal_(parameter, 0.5, 0.3)
    return model


def plain_attention() -> AbstractContextManager:
    """PyTorch's attention in plain operators: the fused kernels lack second and forward derivatives and vmap."""
    if hasattr(torch.nn, 'attention'):
        return torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(enable_flash=False, enable_math=True, enable_mem_efficient=False)


def total(outs: tuple[Tensor, ...]) -> Tensor:
    return sum(out.square().sum() for out in outs)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('window_token', TOKENS)
def test_every_module_is_called_once_a_forward(window_token: str, with_cp: bool) -> None:
    model = micro(window_token=window_token, with_cp=with_cp).train()
    calls: Counter[str] = Counter()
    owners = {name: m for name, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))}
    for name, module in owners.items():
        if name:
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    outs = model(torch.rand(1, 3, 40, 45, dtype=torch.float64))
    assert calls == dict.fromkeys(owners, 1)
    total(outs).backward()
    assert with_cp or calls == dict.fromkeys(owners, 1)  # the backward pass calls nothing again


def test_backward_hooks_of_every_module_fire_once() -> None:
    model = micro(window_token='learnable').train()
    calls: Counter[str] = Counter()
    owners = [name for name, m in model.named_modules() if name and any(True for _ in m.parameters(recurse=False))]
    for name in owners:
        model.get_submodule(name).register_full_backward_hook(lambda *_, name=name: calls.update([name]))
    total(model(torch.rand(1, 3, 40, 45, dtype=torch.float64))).backward()
    assert calls == dict.fromkeys(owners, 1)


def test_reparametrised_weights_train() -> None:
    """Weight norm on every layer, and a layer of one's own in place of a convolution."""
    model = micro().train()
    for _, _, layer in layers(model):
        parametrizations.weight_norm(layer)
    stem = model.stages[0].patch_embed
    stem.proj = nn.Sequential(nn.Identity(), stem.proj)
    total(model(torch.rand(1, 3, 40, 45, dtype=torch.float64))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters() if parameter.numel() > 1)


def test_branches_take_a_map_and_return_one() -> None:
    block = SepViT('lite').stages[1].blocks[1]
    x = torch.rand(2, 15, 20, 64)
    assert block.attn(x).shape == block.mlp(x).shape == x.shape
    torch.testing.assert_close(block(x), x + block.attn(x) + block.mlp(x + block.attn(x)))


def test_a_branch_can_be_replaced() -> None:
    model = micro()
    for stage in model.stages:
        for block in stage.blocks:
            block.attn = nn.Identity()
    assert all(out.isfinite().all() for out in model(torch.rand(1, 3, 33, 21, dtype=torch.float64)))


def layers(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """(parent, name, layer) of all linear layers and convolutions."""
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, (nn.Linear, nn.Conv2d))
    ]


def test_pruning_any_layer_trains() -> None:
    model = micro().train()
    for _, _, layer in layers(model):
        prune.l1_unstructured(layer, 'weight', 0.5)
    for _ in range(2):
        model.zero_grad()
        total(model(torch.rand(2, 3, 40, 45, dtype=torch.float64))).backward()
    for _, _, layer in layers(model):
        assert (layer.weight == 0).float().mean() > 0.4
        assert layer.weight_orig.grad.abs().sum() > 0


def test_spectral_norm_acts_on_any_layer() -> None:
    model = micro()
    images = torch.rand(1, 3, 40, 45, dtype=torch.float64)
    for _, _, layer in layers(model):
        before = model(images)[1]
        parametrizations.spectral_norm(layer)
        assert not torch.equal(model(images)[1], before)


class LowRank(nn.Module):
    """A linear layer with a trained product of two small matrices beside it (LoRA), and none of its attributes."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, 2, bias=False).double()
        self.up = nn.Linear(2, layer.out_features, bias=False).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def test_adapters_on_any_linear_layer() -> None:
    model = micro().train().requires_grad_(False)
    for parent, name, layer in layers(model):
        if isinstance(layer, nn.Linear):
            setattr(parent, name, LowRank(layer))
    total(model(torch.rand(1, 3, 40, 45, dtype=torch.float64))).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)


def test_quantisation_aware_training() -> None:
    from torch.ao.quantization import get_default_qat_qconfig, prepare_qat

    model = SepViT(MICRO, out_indices=(0, 1)).train()
    model.qconfig = get_default_qat_qconfig('fbgemm')
    for norm in (m for m in model.modules() if isinstance(m, nn.LayerNorm)):
        norm.qconfig = None
    model = prepare_qat(model)
    total(model(torch.rand(1, 3, 40, 45))).backward()
    quantised = [m for m in model.modules() if hasattr(m, 'weight_fake_quant')]
    assert len(quantised) == len(layers(SepViT(MICRO, out_indices=(0, 1))))
    assert all(m.weight.grad.abs().sum() > 0 and (m.weight_fake_quant.scale != 1).all() for m in quantised)


def test_copies_are_independent() -> None:
    model = micro(window_token='learnable')
    other = copy.deepcopy(model)
    images = torch.rand(1, 3, 40, 45, dtype=torch.float64)
    assert torch.equal(model(images)[1], other(images)[1])
    with torch.no_grad():
        other.stages[0].blocks[0].attn.window_token.add_(1)
    assert not torch.equal(model(images)[1], other(images)[1])


def test_fake_tensors() -> None:
    with FakeTensorMode():
        outs = SepViT('lite', window_token='learnable')(torch.rand(2, 3, 65, 97))
    assert [tuple(out.shape) for out in outs] == [(2, 32, 17, 25), (2, 64, 9, 13), (2, 128, 5, 7), (2, 256, 3, 4)]


def test_gradients_of_single_images_by_vmap() -> None:
    model = micro()
    images = torch.rand(3, 3, 20, 24, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    loss = lambda p, x: total(functional_call(model, p, (x[None],)))  # noqa: E731
    with plain_attention():
        gradients = vmap(grad(loss), (None, 0))(parameters, images)
    for i, image in enumerate(images):
        model.zero_grad()
        total(model(image[None])).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][i], parameter.grad)


def test_forward_derivatives() -> None:
    model = micro()
    x, v = torch.rand(2, 1, 3, 20, 24, dtype=torch.float64)
    with plain_attention():
        _, derivative = jvp(lambda x: model(x)[1], (x,), (v,))
    step = 1e-6
    torch.testing.assert_close(
        derivative, (model(x + step * v)[1] - model(x - step * v)[1]) / (2 * step), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize('window_token', TOKENS)
def test_second_derivatives(window_token: str) -> None:
    model = micro(window_token=window_token)
    x = torch.rand(1, 3, 21, 13, dtype=torch.float64, requires_grad=True)
    with plain_attention():
        assert torch.autograd.gradcheck(model, x, fast_mode=True)
        assert torch.autograd.gradgradcheck(model, x, fast_mode=True)


def test_second_derivatives_under_autocast() -> None:
    """As near to those in float32 as the first ones are."""
    model = micro().float()
    x = torch.rand(1, 3, 40, 45, requires_grad=True)
    found = []
    for enabled in (False, True):
        with plain_attention(), torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            loss = sum(out.float().square().mean() for out in model(x))
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        found.append((first.detach(), second))
    (first, second), (amp_first, amp_second) = found
    assert (amp_first - first).norm() < 0.05 * first.norm()
    assert (amp_second - second).norm() < 0.1 * second.norm()


@pytest.mark.parametrize('window_token', TOKENS)
def test_deterministic_algorithms(window_token: str) -> None:
    model = micro(window_token=window_token).train()
    images = torch.rand(1, 3, 40, 40, dtype=torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        total(model(images)).backward()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('traced_at', [(224, 224), (97, 131), (3, 5)])
@pytest.mark.parametrize('kind', [*TOKENS, 'classifier'])
@pytest.mark.parametrize('gradients', [False, True])
def test_a_trace_is_right_at_every_size(kind: str, traced_at: tuple[int, int], gradients: bool) -> None:
    kwargs = {'out_indices': (1,), 'window_token': 'learnable', 'single_window_psa': False}
    model = micro(**(kwargs if kind == 'classifier' else {'window_token': kind}))
    with torch.set_grad_enabled(gradients):
        traced = torch.jit.trace(model, torch.rand(1, 3, *traced_at, dtype=torch.float64))  # with its own check
        for size in ((1, 1), (97, 131), (64, 300), (224, 224), (448, 40)):
            for batch in (1, 3):
                images = torch.rand(batch, 3, *size, dtype=torch.float64)
                for got, want in zip(traced(images), model(images)):
                    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize(
    'kwargs',
    [
        {'with_cp': True},
        {'in_channels': 5, 'window_token': 'learnable', 'input_size': (40, 56)},
        {'out_indices': (0,), 'frozen_stages': 1},
        {'out_indices': (1, 0), 'window_token': 'shared', 'single_window_psa': False},
        {'arch': {**MICRO, 'window_sizes': ((30,), (20, 25))}},  # larger than most of the maps
    ],
)
def test_a_trace_of_other_models(kwargs: dict) -> None:
    """Traced for a batch of three on a strip, and frozen, which folds whatever is constant."""
    model = micro(**kwargs)
    bands = kwargs.get('in_channels', 3)
    frozen = torch.jit.freeze(torch.jit.trace(model, torch.rand(3, bands, 10, 90, dtype=torch.float64)))
    for shape in ((1, bands, 90, 10), (2, bands, 41, 57), (4, bands, 128, 160)):
        images = torch.rand(shape, dtype=torch.float64)
        for got, want in zip(frozen(images), model(images)):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(torch.__version__ < '2.5', reason='torch.export of dynamic sizes is unfinished there')
@pytest.mark.parametrize('exported_at', [(224, 224), (97, 131)])
def test_an_exported_program_is_right_at_every_size(exported_at: tuple[int, int]) -> None:
    """From 33 pixels on: for PyTorch, a last map one pixel wide, as smaller images have, is a graph of its own."""
    import torch.fx.experimental._config as config

    model = micro()
    batch, height, width = torch.export.Dim('batch'), torch.export.Dim('h', min=33), torch.export.Dim('w', min=33)
    with config.patch(backed_size_oblivious=True):
        images = torch.rand(2, 3, *exported_at, dtype=torch.float64)
        program = torch.export.export(model, (images,), dynamic_shapes=({0: batch, 2: height, 3: width},))
    # PyTorch's convolution adds a guard on batches above 1 that nothing in the graph depends on.
    program = program.module(check_guards=False)
    for size in ((33, 33), (97, 131), (64, 300), (448, 40)):
        for batch_size in (1, 3):
            images = torch.rand(batch_size, 3, *size, dtype=torch.float64)
            for got, want in zip(program(images), model(images)):
                torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ('tool', 'error'), [(torch.jit.script, 'NotSupportedError'), (torch.fx.symbolic_trace, 'TraceError')]
)
def test_what_the_docs_say_is_not_supported(tool: Callable[[nn.Module], object], error: str) -> None:
    """If one of them works some day, docs/not_supported.md is wrong."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        tool(micro())
    assert type(caught.value).__name__ == error
