"""A SepViT that begins with the layers of a Swin Transformer; timm's model is what it is compared with."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from mmdet.models.backbones.swin import swin_converter
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from mmsepvit import SepViT
from mmsepvit.checkpoints.swin import start_from_swin
from mmsepvit.cli.command import run_command
from mmsepvit.cli.convert_checkpoint import main as convert_checkpoint
from mmsepvit.errors import UserError

SIDE = 224  # timm's windows are smaller than 7 where a map is


def swin(channels: int = 32, depths: tuple[int, ...] = (2, 2, 6, 2)) -> SwinTransformer:
    """A Swin whose parameters are all drawn, norms and biases too, as after a training."""
    torch.manual_seed(0)
    heads = [channels * 2**i // 32 for i in range(4)]
    model = SwinTransformer(img_size=SIDE, embed_dim=channels, depths=depths, num_heads=heads, num_classes=5).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.2 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.normal_(std=scale).add_(float('norm' in name and name.endswith('weight')))
    return model


@pytest.fixture(scope='module')
def theirs() -> SwinTransformer:
    return swin()


@pytest.fixture(scope='module')
def images() -> Tensor:
    torch.manual_seed(1)
    coarse = torch.randn(9, 3, 14, 14)  # more than are computed at a time
    return F.interpolate(coarse, size=(SIDE, SIDE), mode='bicubic') + 0.1 * torch.randn(9, 3, SIDE, SIDE)


@pytest.fixture(scope='module')
def ours(theirs: SwinTransformer, images: Tensor) -> SepViT:
    return start_from_swin(theirs.state_dict(), images)[1]


def original(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names as those of the original implementation, which has a merge at the end of a stage, and tables."""
    names = {re.sub(r'\d+(?=\.downsample)', lambda i: str(int(i[0]) - 1), name): name for name in state}
    tables = {'layers.0.blocks.1.attn_mask': torch.zeros(64, 49, 49)}
    return {**{name.replace('head.fc.', 'head.'): state[theirs] for name, theirs in names.items()}, **tables}


def mmdet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names as a detector's, with a norm for each output and other parts."""
    named = swin_converter(original(state))
    named['backbone.norm3.weight'] = named.pop('backbone.norm.weight')
    named['backbone.norm3.bias'] = named.pop('backbone.norm.bias')
    others = {'backbone.norm0.weight': torch.ones(32), 'neck.lateral_convs.0.conv.bias': torch.zeros(256)}
    return {**named, **others}


def mmpretrain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in mmdet(state).items() if 'norm0' not in name and 'neck' not in name}


@pytest.mark.parametrize('form', [original, mmdet, mmpretrain])
def test_every_format_gives_the_same(form: object, theirs: SwinTransformer, ours: SepViT, images: Tensor) -> None:
    arch, model = start_from_swin({f'module.{k}': v for k, v in form(theirs.state_dict()).items()}, images)
    assert arch == 'lite'
    for name, value in ours.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_patches_are_embedded_alike(theirs: SwinTransformer, ours: SepViT, images: Tensor) -> None:
    with torch.no_grad():
        mine = ours.stages[0].patch_embed(images.permute(0, 2, 3, 1))
        torch.testing.assert_close(mine, theirs.patch_embed(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_a_merge_of_one_scale_is_exact(stage: int) -> None:
    """Without a bias of the norm before it, it differs by a factor for each pixel, which the norm behind takes off."""
    theirs, x = swin(), torch.randn(2, 14, 14, 32 * 2 ** (stage - 1))
    merge = theirs.layers[stage].downsample
    nn.init.zeros_(merge.norm.bias)
    _, ours = start_from_swin(theirs.state_dict(), torch.randn(2, 3, SIDE, SIDE))
    with torch.no_grad():
        mine = ours.stages[stage].patch_embed.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        assert F.cosine_similarity(mine, merge(x), dim=-1).min() > 1 - 1e-5


def test_attention_of_a_pixel_to_itself_is_exact() -> None:
    """There the input that DSA adds is what its values lack; within one window PSA adds the same map again."""
    theirs, x = swin(), torch.randn(2, 7, 7, 32)
    block = theirs.layers[0].blocks[0]
    with torch.no_grad():
        block.attn.qkv.bias[:64] = 0
        block.attn.qkv.weight[:32] = block.attn.qkv.weight[32:64] = 50 * torch.eye(32)
        wanted = block.attn(block.norm1(x).view(2, 49, -1)).view_as(x)
        ours = start_from_swin(theirs.state_dict(), torch.randn(2, 3, SIDE, SIDE))[1]
        torch.testing.assert_close(ours.stages[0].blocks[0].attn(x), wanted, rtol=1e-3, atol=1e-3)


def test_maps_after_merges_have_the_mean_and_deviation(theirs: SwinTransformer, ours: SepViT, images: Tensor) -> None:
    found: dict[int, Tensor] = {}
    wanted: dict[int, Tensor] = {}
    for i in (1, 2, 3):
        ours.stages[i].patch_embed.register_forward_hook(lambda _, __, out, i=i: found.update({i: out}))
        theirs.layers[i].downsample.register_forward_hook(lambda _, __, out, i=i: wanted.update({i: out}))
    with torch.no_grad():
        ours(images)
        theirs(images)
    for i in (1, 2, 3):
        mine, their = found[i].flatten(0, 2), wanted[i].flatten(0, 2)
        torch.testing.assert_close(mine.mean(dim=0), their.mean(dim=0), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(mine.std(dim=0), their.std(dim=0), rtol=1e-3, atol=1e-3)


def test_a_deep_one_gives_its_first_blocks() -> None:
    theirs = swin(96, (2, 2, 18, 2))
    arch, ours = start_from_swin(theirs.state_dict(), torch.randn(1, 3, 56, 56))
    assert arch == 'small'
    for mine, block in zip(ours.stages[2].blocks, theirs.layers[2].blocks):
        assert torch.equal(mine.mlp.fc1.weight, block.mlp.fc1.weight)
    assert len(ours.stages[2].blocks) == 14


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'layers.0.blocks.0.attn.logit_scale': torch.ones(1)}, 'Swin Transformer V2'),
        ({'layers.1.blocks.0.mlp.fc1.bias': torch.zeros(5)}, r'has the shape \(5,\)'),
        ({'layers.1.blocks.0.mlp.fc1.bias': None}, '1 parameters of the Swin Transformer are missing'),
        ({'patch_embed.proj.weight': torch.zeros(48, 3, 4, 4)}, 'no SepViT has the 48 channels'),
        ({'patch_embed.proj.weight': None}, 'no SepViT has the 0 channels'),
        ({'layers.3.blocks.0.attn.relative_position_bias_table': torch.zeros(25, 8)}, 'small images'),
    ],
)
def test_what_cannot_be_one_says_why(change: dict, message: str, theirs: SwinTransformer) -> None:
    state = {name: value for name, value in {**theirs.state_dict(), **change}.items() if value is not None}
    with pytest.raises(UserError, match=message):
        start_from_swin(state, torch.zeros(1, 3, 32, 32))


def test_command(theirs: SwinTransformer, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source, out, folder = tmp_path / 'swin.pth', tmp_path / 'sepvit.pth', tmp_path / 'pictures'
    torch.save({'model': original(theirs.state_dict())}, source)
    assert run_command(convert_checkpoint, [str(source), str(out)]) == 2
    assert '--images FOLDER' in capsys.readouterr().err
    (folder / 'deeper').mkdir(parents=True)
    for i in range(16):
        few = ['--images', str(folder)]
        if i in (0, 15):
            assert run_command(convert_checkpoint, [str(source), str(out), *few]) == 2
            assert f'{i} pictures are too few' in capsys.readouterr().err
        picture = np.random.default_rng(i).integers(0, 256, (40, 60 + i, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / ('deeper' if i % 2 else '.') / f'{i}.jpg'), picture)
    assert run_command(convert_checkpoint, [str(source), str(out), *few]) == 0
    assert 'SepViT lite, dense, from a Swin Transformer, 208 tensors' in capsys.readouterr().out
    init_cfg = {'type': 'Pretrained', 'checkpoint': str(out), 'prefix': 'backbone.'}
    model = SepViT('lite', init_cfg=init_cfg)
    model.init_weights()
    kernel = model.stages[0].patch_embed.proj.weight
    assert torch.equal(kernel[..., 3:7, 3:7], theirs.patch_embed.proj.weight)
