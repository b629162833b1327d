"""What the backbone keeps, copies and runs: exact figures, the same on every machine, with bounds that must not move.

``docs/performance.md`` explains them. Times are results of ``tools/benchmark.py`` and never tests.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from dev.benchmark.figures import count_operators, figures, graph_breaks, saved_bytes
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmsepvit import SepViT
from mmsepvit.models.layers import ConditionalPositionEncoding
from mmsepvit.models.windows import add_and_split, to_map, to_windows

MIB = 2**20


@pytest.mark.parametrize(('with_cp', 'bound'), [(False, 365), (True, 75)])
def test_tiny_keeps_little_for_backward(with_cp: bool, bound: int) -> None:
    """At 512x512 in float32; the published way of computing it keeps 606 MiB, mmpretrain's Swin-T 575."""
    model = SepViT('tiny', with_cp=with_cp).eval()
    images = torch.zeros(1, 3, 512, 512)
    assert saved_bytes(model, lambda: model(images)) <= bound * MIB


def test_memory_grows_with_pixels() -> None:
    """Linear but for PSA, whose weights are square in the number of windows and small at these sizes."""
    model = SepViT('lite').eval()
    small, large = (saved_bytes(model, lambda s=side: model(torch.zeros(1, 3, s, s))) for side in (224, 448))
    assert 3.95 < large / small < 4.1


@pytest.mark.parametrize(
    ('size', 'copied', 'copies', 'operators'),
    # At 224 no map has to be padded, at 200x330 every one. Two copies in each are of small maps for a convolution that
    # would copy its weights otherwise, inside, where it is not counted.
    [((224, 224), 4.5, 40, 274), ((200, 330), 13.61, 133, 439)],
)
def test_operators_and_copies(size: tuple[int, int], copied: float, copies: int, operators: int) -> None:
    cost = figures(SepViT('lite').eval(), torch.zeros(1, 3, *size))
    assert cost.copied_bytes <= copied * MIB
    assert cost.copies <= copies
    assert cost.operators <= operators


def test_each_block_calls_each_product_once() -> None:
    model = SepViT('lite').eval()
    with torch.no_grad():
        calls = count_operators(lambda: model(torch.zeros(1, 3, 200, 330))).calls
    # qkv of DSA, for the map and for the row that pads it; qk of PSA, the output, two of the MLP
    assert calls['aten::addmm'] + calls['aten::mm'] == 11 * 6
    assert calls['aten::bmm'] + calls['aten::baddbmm'] == 11 * 2  # PSA's weights, and their product with the maps
    assert sum(count for name, count in calls.items() if 'scaled_dot_product' in name) == 11
    assert calls['aten::native_layer_norm'] == 11 * 4 + 8


def test_windows_that_fit_want_no_row_of_their_own_and_one_window_no_psa() -> None:
    model = SepViT('lite').eval()
    with torch.no_grad():
        calls = count_operators(lambda: model(torch.zeros(1, 3, 224, 224))).calls
    single = 3 + 2  # GSA blocks of stage 3, and stage 4
    assert calls['aten::addmm'] + calls['aten::mm'] == 11 * 4 + 11 - single
    assert calls['aten::bmm'] + calls['aten::baddbmm'] == (11 - single) * 2


def test_large_maps_go_through_the_mlp_in_pieces() -> None:
    """At 512x512 stages 1 and 2 of Tiny make 25 and 12.6 MB in between, stages 3 and 4 fewer than 8 MiB."""
    model = SepViT('tiny').eval()
    with torch.no_grad():
        calls = count_operators(lambda: model(torch.zeros(1, 3, 512, 512))).calls
    assert calls['aten::gelu'] == 11 + 16 + 2 * 4 + 8  # PSA's of the tokens, and the MLP's


def test_what_is_computed_again_has_no_product_in_it() -> None:
    """But for that of the row that pads: one row in each block, where a map here has 77 and more."""
    model = SepViT('lite')
    images = torch.zeros(1, 3, 200, 330)

    def products(run: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            run()
        return counter.get_flop_counts()['Global'][torch.ops.aten.addmm]

    forward = products(lambda: model(images))
    training = products(lambda: sum(out.sum() for out in model(images)).backward())  # backward, addmm is mm
    assert forward < training < 1.01 * forward


@pytest.mark.parametrize('with_cp', [False, True])
def test_one_graph(with_cp: bool) -> None:
    arch = {'channels': (8, 16), 'depths': (1, 2), 'num_heads': (2, 2), 'window_sizes': ((4,), (4, 8))}
    model = SepViT(arch, out_indices=(0, 1), with_cp=with_cp)
    assert graph_breaks(model, [torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 50, 70)]) == 0


def test_saved_bytes_count_storages_once_and_no_parameters() -> None:
    linear = nn.Linear(4, 4)
    x = torch.ones(8, 4, requires_grad=True)
    assert saved_bytes(linear, lambda: linear(x)) == x.numel() * 4
    assert saved_bytes(linear, lambda: (linear(x), linear(x[:4]))) == x.numel() * 4
    assert saved_bytes(linear, lambda: linear(x).exp().exp()) == 3 * x.numel() * 4


class _InputGradients(TorchDispatchMode):
    """Counts the depthwise convolutions that PyTorch itself takes the gradient of the input of."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.convolution_backward.default:
            groups, wanted = args[9], args[10]
            self.count += groups > 1 and wanted[0]
        return func(*args, **(kwargs or {}))


def test_position_encoding_leaves_no_input_gradient_to_onednn() -> None:
    """Which takes a tenth of a training step for it (torch 2.1)."""
    model = SepViT('lite')
    with _InputGradients() as seen:
        sum(out.sum() for out in model(torch.rand(1, 3, 64, 64))).backward()
        assert seen.count == 0
        conv = model.stages[0].cpe.proj
        conv(torch.rand(1, 32, 16, 16, requires_grad=True)).sum().backward()  # the mode does see them
    assert seen.count == 1


@pytest.mark.parametrize('size', [(1, 1), (2, 5), (6, 3)])
def test_position_encoding_has_exact_gradients(size: tuple[int, int]) -> None:
    """First and second ones, in float64, also where nothing but the bias or the map has one."""
    torch.manual_seed(0)
    cpe = ConditionalPositionEncoding(3).double()
    x = torch.randn(2, *size, 3, dtype=torch.float64, requires_grad=True)
    weights = [p.detach().clone().requires_grad_() for p in cpe.parameters()]

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional_call(cpe, {'proj.weight': weight, 'proj.bias': bias}, (x,))

    assert torch.equal(run(x, *weights), x + F.conv2d(x.permute(0, 3, 1, 2), *weights, 1, 1, 1, 3).permute(0, 2, 3, 1))
    assert gradcheck(run, (x, *weights))
    assert gradgradcheck(run, (x, *weights))
    for trained in range(3):
        inputs = [t.detach().requires_grad_(i == trained) for i, t in enumerate((x, *weights))]
        assert gradcheck(run, inputs)


@pytest.mark.parametrize('autocast', [False, True])
def test_position_encoding_in_bfloat16(autocast: bool) -> None:
    """Gradients as those of PyTorch's own convolution, and of the types of what they are gradients of."""
    torch.manual_seed(0)
    cpe = ConditionalPositionEncoding(8)
    dtype = torch.float32 if autocast else torch.bfloat16
    cpe.to(dtype)
    found = []
    for function in (cpe, lambda x: x + cpe.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)):
        x = torch.linspace(-1, 1, 2 * 9 * 7 * 8).view(2, 9, 7, 8).to(dtype).requires_grad_()
        with torch.autocast('cpu', enabled=autocast):
            y = function(x)
        found.append([y, *torch.autograd.grad((y.float() ** 2).sum(), [x, *cpe.parameters()])])
    assert [t.dtype for t in found[0]] == [t.dtype for t in found[1]]
    torch.testing.assert_close(*found, rtol=2e-2, atol=2e-2)


# -- what moves numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(2, 4, 6), (1, 5, 3), (2, 1, 4)])
@pytest.mark.parametrize('tokens', ['none', 'zero', 'one', 'all'])
def test_windows_have_exact_gradients(size: tuple[int, int, int], tokens: str) -> None:
    """First and second ones, in float64, with pads at no, one and both sides."""
    b, height, width = size
    grid = (-(-height // 2), -(-width // 2))
    extra = {'none': 0, 'zero': 0, 'one': 1, 'all': grid[0] * grid[1]}[tokens]
    x = torch.randn(b, height, width, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(extra + 1, 3, dtype=torch.float64, requires_grad=True)

    def cut(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return to_windows(x, rows, int(tokens != 'none'), 2)

    assert cut(x, rows).shape == (b, *grid, 4 + (tokens != 'none'), 3)
    assert gradcheck(cut, (x, rows))
    assert gradgradcheck(cut, (x, rows))


@pytest.mark.parametrize('size', [(4, 6), (3, 5)])
def test_maps_have_exact_gradients(size: tuple[int, int]) -> None:
    windows = torch.randn(2, 4, 2, 3, 2, 2, 3, dtype=torch.float64, requires_grad=True)

    def join(windows: torch.Tensor) -> torch.Tensor:
        return to_map(windows.permute(0, 2, 3, 4, 5, 1, 6), size)

    assert join(windows).shape == (2, *size, 4, 3)
    assert join(windows).is_contiguous()
    assert gradcheck(join, windows)
    assert gradgradcheck(join, windows)


def test_sums_have_exact_gradients() -> None:
    attended = torch.randn(6, 2, 5, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(add_and_split, (attended, x))
    assert gradgradcheck(add_and_split, (attended, x))


def test_cut_and_join_are_inverse() -> None:
    x = torch.randn(2, 5, 7, 3)
    windows = to_windows(x, torch.zeros(1, 3), 0, 3)
    assert torch.equal(to_map(windows.unflatten(3, (3, 3)), (5, 7)), x)
