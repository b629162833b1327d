"""The backbone's public contract: arguments, outputs, freezing, dtypes, compilation, initialisation."""

from __future__ import annotations

import copy
import re
import warnings

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from mmsepvit import SepViT
from mmsepvit.models.attention import resize_window_token
from mmsepvit.models.layers import DropPath

MICRO = {  # every kind of block in a few parameters: DSSA, GSA, and a stage with one window at 64 pixels
    'channels': (8, 16),
    'depths': (1, 2),
    'num_heads': (2, 2),
    'window_sizes': ((4,), (4, 8)),
}


def micro(**kwargs) -> SepViT:
    return SepViT(MICRO, **{'input_size': 64, 'out_indices': (0, 1), **kwargs})


def loss(outs: tuple[Tensor, ...]) -> Tensor:
    return sum((out.float() * torch.linspace(0, 3, out.numel()).view(out.shape).sin()).sum() for out in outs)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'arch': 'huge'}, "arch='huge' must be one of"),
        ({'arch': 'l'}, "arch='l' must be one of"),  # the large model elsewhere
        ({'arch': 5}, 'arch=5 must be a name or a dict'),
        ({'arch': {'channels': (8,)}}, re.escape("arch=['channels'] must be a name or a dict with the keys")),
        ({'arch': {**MICRO, 'extra': 1}}, 'must be a name or a dict with the keys'),
        ({'arch': {**MICRO, 'depths': (1,)}}, 'arch: each entry must have one value a stage'),
        ({'arch': {**MICRO, 'depths': (1, 3)}}, re.escape('window_sizes[1]=(4, 8) must have depths[1]=3 entries')),
        ({'arch': {**MICRO, 'num_heads': (2, 3)}}, re.escape('num_heads[1]=3 must divide channels[1]=16')),
        ({'in_channels': 0}, 'in_channels=0 must be at least 1'),
        ({'input_size': 0}, 'input_size=0 must be a positive int'),
        ({'input_size': (224, 224, 3)}, 'must be a positive int or'),
        ({'window_token': 'fixed'}, "window_token='fixed' must be one of"),
        ({'drop_rate': 1.0}, 'drop_rate=1.0 must be at least 0 and below 1'),
        ({'attn_drop_rate': -0.1}, 'attn_drop_rate=-0.1 must be'),
        ({'drop_path_rate': 2}, 'drop_path_rate=2 must be'),
        ({'out_indices': (0, 4)}, re.escape('out_indices=(0, 4) must name stages 0 to 3')),
        ({'out_indices': -5}, re.escape('out_indices=-5 must name stages 0 to 3, or -4 to -1')),
        ({'out_indices': (0, -4)}, 'must name a stage once'),
        ({'out_indices': ()}, 'once each'),
        ({'out_indices': (1, 1)}, 'must name a stage once'),
        ({'frozen_stages': 5}, 'frozen_stages=5 must be from -1'),
        ({'frozen_stages': -2}, 'frozen_stages=-2 must be from -1'),
    ],
)
def test_wrong_arguments_name_themselves(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SepViT(**kwargs)


WRONG_KINDS = {
    'arch': (5, None, {}),
    'in_channels': (None, 3.0, '3'),
    'input_size': (None, 224.5, '224', (224, None)),
    'window_token': (None, 0, True),
    'single_window_psa': ('no', None, 'False'),
    'drop_rate': (None, '0.1', [0.1]),
    'attn_drop_rate': (float('nan'), None),
    'drop_path_rate': ([0.1, 0.2], None),
    'out_indices': (None, '3', 3.0, {0: 1}, (0, None)),
    'frozen_stages': (None, 1.0, '1', [1]),
    'with_cp': ('False', 2),
}


@pytest.mark.parametrize(('name', 'value'), [(name, value) for name, values in WRONG_KINDS.items() for value in values])
def test_arguments_of_a_wrong_kind_name_themselves(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'^{name}='):
        SepViT(**{'arch': MICRO, 'out_indices': (0, 1), name: value})


@pytest.mark.parametrize('key', MICRO)
@pytest.mark.parametrize('value', [None, 'ab', 3, (1.5, 2), ('a', 'b'), (None, None)])
def test_parts_of_an_architecture_of_a_wrong_kind(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'^arch: {key}='):
        SepViT({**MICRO, key: value}, out_indices=(0, 1))


def test_unknown_arguments_do_not_vanish() -> None:
    with pytest.raises(TypeError, match='style'):
        SepViT('lite', style='pytorch')


@pytest.mark.parametrize('arch', ['lite', 'tiny', 'small', 'base'])
def test_arch_zoo(arch: str) -> None:
    """Section 1 of the facts, and the names mmpretrain's users try first."""
    channels = {'lite': 32, 'base': 128}.get(arch, 96)
    depth = 6 if arch in ('lite', 'tiny') else 14
    entry = SepViT.arch_zoo[arch]
    assert arch == 'lite' or entry is SepViT.arch_zoo[arch[0]]
    assert entry['channels'] == tuple(channels * 2**i for i in range(4))
    assert entry['num_heads'] == tuple(channels // 32 * 2**i for i in range(4))
    assert entry['depths'] == (1, 2, depth, 2)
    assert entry['window_sizes'] == ((7,), (7, 14), (7, 14) * (depth // 2), (7, 7))
    with torch.device('meta'):
        model = SepViT(arch.capitalize())
    assert model.out_channels == entry['channels']
    assert model.out_strides == (4, 8, 16, 32)


@pytest.mark.parametrize(
    ('arch', 'classification', 'dense'),
    # million parameters; classification with its head (1000 classes) as in the paper, dense as in the published code
    [('lite', 3.66, None), ('tiny', 31.18, 34.43), ('small', 46.57, 50.99), ('base', 82.38, 90.24)],
)
def test_parameter_counts(arch: str, classification: float, dense: float | None) -> None:
    with torch.device('meta'):
        backbone = SepViT(arch, out_indices=(3,), window_token='learnable', single_window_psa=False)
        head = nn.Linear(backbone.out_channels[0], 1000)
        dense_backbone = SepViT(arch)
    count = sum(p.numel() for module in (backbone, head) for p in module.parameters())
    assert round(count / 1e6, 2) == classification
    if dense is not None:
        # the published dense code also builds the classifier and a final norm, and never uses them
        unused = sum(p.numel() for p in head.parameters()) + 2 * backbone.out_channels[0]
        count = sum(p.numel() for p in dense_backbone.parameters()) + unused
        assert round(count / 1e6, 2) == dense


@pytest.mark.parametrize('size', [(224, 224), (200, 330), (65, 97), (32, 96), (1, 1), (3, 130)])
def test_any_size(size: tuple[int, int]) -> None:
    model = SepViT('lite').eval()
    with torch.no_grad():
        outs = model(torch.randn(2, 3, *size))
    assert isinstance(outs, tuple)
    for out, channels, stride in zip(outs, model.out_channels, model.out_strides):
        assert out.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))
        assert out.isfinite().all()
        assert out.is_contiguous()


def test_samples_do_not_mix() -> None:
    model = micro().double().eval()
    images = torch.randn(3, 3, 50, 70, dtype=torch.float64)
    for out, *singles in zip(model(images), *[model(image[None]) for image in images]):
        torch.testing.assert_close(out, torch.cat(singles))


@pytest.mark.parametrize('out_indices', [(0,), (3,), (2, 0), (1, 2, 3), [0, 1, 2, 3]])
@pytest.mark.parametrize('window_token', ['zero', 'learnable', 'shared'])
def test_outputs_and_gradients_of_any_out_indices(out_indices: tuple[int, ...], window_token: str) -> None:
    """Each output has its norm, in the order asked for, and no parameter waits for a gradient (DDP stops on those)."""
    model = SepViT('lite', out_indices=out_indices, window_token=window_token)
    outs = model(torch.randn(1, 3, 64, 80))
    assert model.out_strides == tuple(4 * 2**i for i in out_indices)
    assert [out.shape[1] for out in outs] == list(model.out_channels)
    assert {name for name, _ in model.named_children() if name != 'stages'} == {f'norm{i}' for i in out_indices}
    loss(outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_an_output_is_also_the_next_stage_input() -> None:
    """As in the published dense models (the golden values show it); an output nobody asks for changes nothing."""
    model = SepViT('lite', out_indices=(0, 3)).eval()
    images = torch.randn(1, 3, 64, 64)
    before = model(images)
    with torch.no_grad():
        model.norm0.weight.mul_(-2)
    after = model(images)
    torch.testing.assert_close(after[0], -2 * before[0])
    assert not torch.allclose(after[1], before[1])


# -- window tokens ----------------------------------------------------------------------------------------------------


def test_window_tokens_of_each_kind() -> None:
    grids = {  # lite at 224: windows of each block that has more than one, else (single_window_psa=False) no token
        'stages.0.blocks.0': (8, 8),
        'stages.1.blocks.0': (4, 4),
        'stages.1.blocks.1': (2, 2),
        'stages.2.blocks.0': (2, 2),
        'stages.2.blocks.2': (2, 2),
        'stages.2.blocks.4': (2, 2),
    }
    model = SepViT('lite', window_token='learnable', single_window_psa=False)
    tokens = {name[:-18]: p for name, p in model.named_parameters() if name.endswith('window_token')}
    assert {name: tuple(token.shape[:2]) for name, token in tokens.items()} == grids
    assert all((token == 0).all() for token in tokens.values())
    shared = SepViT('lite', window_token='shared').state_dict()
    tokens = {name: p for name, p in shared.items() if name.endswith('window_token')}
    assert len(tokens) == 11
    assert all(token.shape[:2] == (1, 1) for token in tokens.values())
    assert not any(name.endswith('window_token') for name in SepViT('lite').state_dict())


def test_no_psa_where_one_window() -> None:
    names = set(SepViT('lite', single_window_psa=False, input_size=224).state_dict())
    assert 'stages.2.blocks.0.attn.psa_qk.weight' in names
    assert 'stages.2.blocks.1.attn.psa_qk.weight' not in names
    assert not any(name.startswith('stages.3') and 'psa' in name for name in names)
    larger = set(SepViT('lite', single_window_psa=False, input_size=(224, 448)).state_dict())
    assert 'stages.2.blocks.1.attn.psa_qk.weight' in larger


def test_learnable_tokens_at_other_sizes() -> None:
    """The trained size uses the tokens as they are; others a bicubic resize of them."""
    model = micro(window_token='learnable').eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith('window_token'):
                parameter.normal_()
    block = model.stages[0].blocks[0]
    token = block.attn.window_token
    assert resize_window_token(token, tuple(token.shape[:2])) is token
    resized = resize_window_token(token, (7, 5))
    expected = nn.functional.interpolate(token.permute(2, 0, 1)[None], (7, 5), mode='bicubic', align_corners=False)
    torch.testing.assert_close(resized, expected[0].permute(1, 2, 0))
    outs = model(torch.randn(1, 3, 100, 36))
    assert all(out.isfinite().all() for out in outs)
    loss(outs).backward()
    assert token.grad.abs().sum() > 0


@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_learnable_tokens_are_resized_at_load(loader: str) -> None:
    source = micro(window_token='learnable', input_size=64)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    target = micro(window_token='learnable', input_size=(96, 128))
    state = copy.deepcopy(source.state_dict())
    if loader == 'torch':
        target.load_state_dict(state, strict=True)
    else:
        load_state_dict(target, state, strict=True)
    token = target.stages[0].blocks[0].attn.window_token
    assert token.shape == (6, 8, 8)
    torch.testing.assert_close(
        token.data, resize_window_token(source.stages[0].blocks[0].attn.window_token.data, (6, 8))
    )
    same = micro(window_token='learnable', input_size=64)
    same.load_state_dict(source.state_dict(), strict=True)
    for name, parameter in same.state_dict().items():
        assert torch.equal(parameter, source.state_dict()[name]), name


# -- training ---------------------------------------------------------------------------------------------------------


def test_frozen_stages() -> None:
    for frozen in range(-1, 5):
        model = SepViT('lite', frozen_stages=frozen)
        for mode in (None, True, False):  # as built, and after train()
            if mode is not None:
                model.train(mode)
            for name, parameter in model.named_parameters():
                parts = name.split('.')
                stage = int(parts[1]) if parts[0] == 'stages' else int(parts[0][4:])
                stem = name.startswith('stages.0.patch_embed')
                assert parameter.requires_grad == (stage >= frozen and not (stem and frozen == 0)), (frozen, name)
            if mode:
                assert model.stages[0].patch_embed.training == (frozen < 0)
                for i, stage in enumerate(model.stages):
                    assert stage.blocks[0].training == (i >= frozen)
    frozen = SepViT('lite', frozen_stages=2, with_cp=True)
    loss(frozen(torch.randn(1, 3, 64, 64))).backward()
    assert all((p.grad is not None) == p.requires_grad for p in frozen.parameters())


def test_stochastic_depth_grows_linearly() -> None:
    model = SepViT('tiny', drop_path_rate=0.2)
    rates = [block.drop_path.rate for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0.2 * i / 10 for i in range(11)])
    x = torch.ones(10000, 2, 2)
    dropped = DropPath(0.3).train()(x)
    assert torch.equal(dropped[:, 0, 0], dropped[:, 1, 1])
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert DropPath(0.3).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


@pytest.mark.parametrize('rate', ['drop_rate', 'attn_drop_rate', 'drop_path_rate'])
def test_dropout_acts_in_training_only(rate: str) -> None:
    model = micro(**{rate: 0.5})
    images = torch.randn(2, 3, 64, 64)
    first, second = model(images), model(images)
    assert not torch.equal(first[1], second[1])
    model.eval()
    plain = micro().eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(model(images)[1], plain(images)[1])


def test_checkpointing_changes_nothing() -> None:
    images = torch.randn(2, 3, 64, 64)
    results = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = micro(with_cp=with_cp, drop_path_rate=0.3, drop_rate=0.1, attn_drop_rate=0.1, window_token='learnable')
        outs = model(images)
        loss(outs).backward()
        results.append([*outs, *(p.grad for p in model.parameters())])
    for plain, checkpointed in zip(*results):
        assert torch.equal(plain, checkpointed)


@pytest.mark.parametrize(('given', 'stages'), [(3, (3,)), (-1, (3,)), ((0, -1), (0, 3)), ([-2], (2,))])
def test_out_indices_as_mmpretrain_takes_them(given: int | tuple | list, stages: tuple[int, ...]) -> None:
    with torch.device('meta'):
        model = SepViT('lite', out_indices=given)
        outs = model(torch.empty(1, 3, 64, 64))
    assert model.out_indices == stages
    assert [out.shape[1] for out in outs] == [32 * 2**i for i in stages]


def test_layer_depth() -> None:
    model = SepViT('tiny')
    depths = {
        'stages.0.patch_embed.proj.weight': 0,
        'stages.0.blocks.0.attn.proj.weight': 1,
        'stages.0.cpe.proj.bias': 1,
        'stages.1.patch_embed.norm.weight': 1,
        'stages.1.blocks.0.attn.norm.weight': 2,
        'stages.1.cpe.proj.weight': 2,
        'stages.1.blocks.1.mlp.fc1.weight': 3,
        'stages.2.patch_embed.proj.weight': 3,
        'stages.2.blocks.5.mlp.fc2.bias': 9,
        'stages.3.blocks.1.attn.dsa_qkv.weight': 11,
        'norm3.weight': 12,
    }
    for name, depth in depths.items():
        assert model.get_layer_depth(name) == (depth, 13)
        assert model.get_layer_depth(f'backbone.{name}', 'backbone.') == (depth, 13)
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (12, 13)
    assert model.get_layer_depth('stages.0.patch_embed.proj.weight', 'backbone.') == (12, 13)
    seen = {model.get_layer_depth(name)[0] for name, _ in model.named_parameters()}
    assert seen == set(range(13))


# -- initialisation ---------------------------------------------------------------------------------------------------


def test_initialisation_is_the_published_one() -> None:
    model = SepViT('tiny', window_token='learnable')

    def check() -> None:
        for name, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                assert (module.bias == 0).all(), name
            if isinstance(module, nn.Linear):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05), name
            if isinstance(module, nn.LayerNorm):
                assert (module.weight == 1).all(), name
                assert (module.bias == 0).all(), name
        std = (2 / (7 * 7 * 96)) ** 0.5
        assert model.stages[0].patch_embed.proj.weight.std().item() == pytest.approx(std, rel=0.05)
        std = (2 / 9) ** 0.5  # depthwise: one output channel a group
        assert model.stages[3].cpe.proj.weight.std().item() == pytest.approx(std, rel=0.05)

    check()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7.0)
    model.init_weights()
    check()
    assert (model.stages[0].blocks[0].attn.window_token == 0).all()


def test_init_cfg_wins(tmp_path) -> None:
    source = micro()
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in source.state_dict().items()}}, tmp_path / 'w.pth')
    model = micro(init_cfg={'type': 'Pretrained', 'checkpoint': str(tmp_path / 'w.pth'), 'prefix': 'backbone.'})
    assert not torch.equal(model.norm0.weight + 1, source.norm0.weight)
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name
    constant = micro(init_cfg={'type': 'Constant', 'layer': 'Linear', 'val': 0.5})
    constant.init_weights()
    assert (constant.stages[0].blocks[0].mlp.fc1.weight == 0.5).all()


# -- dtypes, devices, compilers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('window_token', ['zero', 'learnable', 'shared'])
@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_follows_dtype(dtype: torch.dtype, window_token: str) -> None:
    model = micro(window_token=window_token).to(dtype)
    outs = model(torch.randn(1, 3, 50, 70, dtype=dtype))
    assert all(out.dtype == dtype and out.isfinite().all() for out in outs)
    sum(out.square().sum() for out in outs).backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('window_token', ['zero', 'learnable', 'shared'])
def test_half(window_token: str) -> None:
    """`.half()` on a device with half kernels; the CPU of torch 2.1 has no half convolution, so meta tensors there."""
    device = 'cuda' if torch.cuda.is_available() else 'meta'
    model = micro(window_token=window_token).half().to(device)
    outs = model(torch.randn(1, 3, 50, 70, dtype=torch.float16, device=device))
    assert all(out.dtype == torch.float16 and out.device.type == device for out in outs)


@pytest.mark.parametrize('window_token', ['zero', 'learnable', 'shared'])
def test_autocast(window_token: str) -> None:
    model = micro(window_token=window_token)
    images = torch.randn(2, 3, 50, 70)
    with torch.autocast('cpu', torch.bfloat16):
        outs = model(images)
    for out, expected in zip(outs, model(images)):
        torch.testing.assert_close(out.float(), expected, rtol=0.1, atol=0.1)
    loss(outs).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_meta_device() -> None:
    with torch.device('meta'):
        model = SepViT('base', window_token='learnable', drop_path_rate=0.5)
        outs = model(torch.empty(2, 3, 513, 333))
    assert all(out.device.type == 'meta' for out in outs)
    assert outs[0].shape == (2, 128, 129, 84)
    model = micro().to('meta').to_empty(device='cpu')
    model.init_weights()
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('window_token', ['zero', 'learnable', 'shared'])
def test_compiles_in_one_graph(window_token: str) -> None:
    """Forward and backward; the eager backend finds graph breaks as well as any and needs no C++ compiler."""
    torch._dynamo.reset()
    model = micro(window_token=window_token, drop_path_rate=0.1)
    images = torch.randn(2, 3, 50, 70)
    loss(torch.compile(model, backend='aot_eager', fullgraph=True, dynamic=False)(images)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_compiles_for_changing_sizes() -> None:
    """A graph for each size, none of them broken."""
    torch._dynamo.reset()
    model = micro(window_token='learnable').eval()
    compiled = torch.compile(model, backend='eager', fullgraph=True, dynamic=False)
    for size in ((64, 64), (50, 70), (90, 33)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            for out, expected in zip(compiled(images), model(images)):
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('training', [False, True])
def test_compiles_for_dynamic_sizes(training: bool) -> None:
    """Without a graph break, whatever part of a window stands out at the borders, forward and backward."""
    torch._dynamo.reset()
    model = micro().train(training)
    backend = 'aot_eager' if training else 'eager'
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=True)
    for size in ((100, 130), (131, 77), (128, 256), (201, 256), (128, 190)):
        images = torch.randn(2, 3, *size)
        with torch.set_grad_enabled(training):
            outs = compiled(images)
            for out, expected in zip(outs, model(images)):
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
            if training:
                loss(outs).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if training)


def test_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model = micro(with_cp=True)
        loss(model(torch.randn(1, 3, 50, 70))).backward()
