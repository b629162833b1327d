"""The published format's names, for all published models; the golden files test what is computed with them."""

from __future__ import annotations

import pytest
import torch
from kinds import ENTRIES, build_backbone, published, shapes
from mmengine.registry import DefaultScope
from torch import Tensor

from mmsepvit import convert_official_state_dict


def same(got: dict[str, Tensor], want: dict[str, Tensor]) -> bool:
    return list(got) == list(want) and all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize(('kind', 'arch'), ENTRIES)
def test_names_and_shapes_are_the_models(kind: str, arch: str) -> None:
    converted = shapes(convert_official_state_dict(published(kind, arch, 'meta')))
    backbone = build_backbone(kind, arch)
    expected = {f'backbone.{name}': shape for name, shape in shapes(backbone.state_dict()).items()}
    if kind == 'classification':
        expected |= {'head.fc.weight': (1000, backbone.out_channels[0]), 'head.fc.bias': (1000,)}
    assert converted == expected


@pytest.mark.parametrize('arch', ['lite', 'tiny', 'small', 'base'])
def test_names_and_shapes_are_mmpretrains(arch: str) -> None:
    models = pytest.importorskip('mmpretrain.models')
    backbone = build_backbone('classification', arch)
    # Its preprocessor has no scope of its own, and another test's training may have left one.
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmpretrain'):
        classifier = models.ImageClassifier(
            backbone={
                'type': 'mmsepvit.SepViT',
                'arch': arch,
                'out_indices': (3,),
                'window_token': 'learnable',
                'single_window_psa': False,
            },
            neck={'type': 'mmpretrain.GlobalAveragePooling'},
            head={'type': 'mmpretrain.LinearClsHead', 'num_classes': 1000, 'in_channels': backbone.out_channels[0]},
        )
    converted = convert_official_state_dict(published('classification', arch, 'meta'))
    assert shapes(converted) == shapes(classifier.state_dict())


@pytest.mark.parametrize(('kind', 'arch', 'unused'), [('classification', 'lite', 0), ('dense', 'tiny', 4)])
def test_each_tensor_is_used_once(kind: str, arch: str, unused: int) -> None:
    """The dense model's unused classifier and final norm alone are left out; no tensor is copied."""
    source = published(kind, arch)
    pointers = [tensor.data_ptr() for tensor in convert_official_state_dict(source).values()]
    assert len(set(pointers)) == len(pointers) == len(source) - unused
    left_out = {name for name, tensor in source.items() if tensor.data_ptr() not in pointers}
    assert left_out == ({'norm.weight', 'norm.bias', 'head.weight', 'head.bias'} if unused else set())


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_forms(wrapped: bool, prefix: str) -> None:
    source = published('classification', 'lite')
    given = {prefix + name: tensor for name, tensor in source.items()}
    given = {'model': given, 'epoch': 299} if wrapped else given
    assert same(convert_official_state_dict(given), convert_official_state_dict(source))


def test_tokens_keep_their_place() -> None:
    source = published('classification', 'lite')
    token = convert_official_state_dict(source)['backbone.stages.1.blocks.0.attn.window_token']
    assert token.shape == (4, 4, 64)
    assert torch.equal(token[2, 3], source['blocks.1.0.win_tokens'][0, 2 * 4 + 3, 0])


def test_unknown_name() -> None:
    source = {**published('dense', 'tiny', 'meta'), 'module.layers.0.weight': torch.zeros(1)}
    with pytest.raises(ValueError, match=r"'module\.layers\.0\.weight' is not a parameter of a published SepViT"):
        convert_official_state_dict(source)


def test_own_names_are_not_published_ones() -> None:
    converted = convert_official_state_dict(published('classification', 'lite', 'meta'))
    with pytest.raises(ValueError, match='is not a parameter of a published SepViT'):
        convert_official_state_dict(converted)


@pytest.mark.parametrize('empty', [{}, {'model': {}}])
def test_empty(empty: dict) -> None:
    with pytest.raises(ValueError, match='no parameters'):
        convert_official_state_dict(empty)


def test_tokens_on_no_square() -> None:
    with pytest.raises(ValueError, match=r"'blocks\.0\.0\.win_tokens' holds 60 window tokens"):
        convert_official_state_dict({'blocks.0.0.win_tokens': torch.zeros(1, 60, 1, 32)})
