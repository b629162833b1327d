"""Starts SepViT-Lite from a trained Swin of its widths, against scratch and against distillation that took as long.

    PYTHONPATH=.:tools python -m dev.weights.distill prepare --pictures pictures --work work --chunks 4
    PYTHONPATH=.:tools python -m dev.weights.swin_start train --work work --minutes 15       # needs mmpretrain
    PYTHONPATH=.:tools python -m dev.weights.swin_start compare --work work

`train` distils a Swin and a SepViT-Lite from the same teacher on the same crops for the same time; `compare` turns the
Swin into a SepViT and fine-tunes on 1,000 labels of Fashion-MNIST. Where the layers are the same they are copied; the
rest is arXiv 2203.15380 against arXiv 2103.14030:

- The Swin's patches of 4x4 are the part `[3:7, 3:7]` of a kernel of 7x7 with padding 3, exactly.
- Its merge is a LayerNorm of 2x2 pixels and a linear layer: the part `[1:3, 1:3]` of a kernel of 3x3 with the norm's
  scale and mean folded in. The norm that follows it in SepViT gets the moments that the Swin has there.
- DSA adds its input to the attention's output, so the value's weight loses the identity.
- PSA adds the mean map of the windows to each of them, or with queries that are the keys much the same map again, so
  the projection is halved. Position encodings start at zero; shifted windows become windows of 14.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmsepvit import SepViT

from . import distill, fashion
from .export import PREFIX, student
from .stamps import normalize

SWIN = {**fashion.SWIN, 'out_indices': (0, 1, 2, 3), 'img_size': 112}
PSA = ('uniform', 'identity')


def swin() -> nn.Module:
    model = MODELS.build(SWIN)
    model.out_channels = model.num_features
    return model


@torch.no_grad()
def from_swin(source: nn.Module, psa: str, scale: float) -> SepViT:
    """A SepViT-Lite with the Swin's layers; norms after merges are not matched yet."""
    torch.manual_seed(0)
    model = SepViT('lite')
    model.init_weights()
    for i, stage in enumerate(model.stages):
        kernel = stage.patch_embed.proj.weight.zero_()
        if i == 0:
            kernel[..., 3:7, 3:7] = source.patch_embed.projection.weight
            stage.patch_embed.proj.bias.copy_(source.patch_embed.projection.bias)
            stage.patch_embed.norm.load_state_dict(source.patch_embed.norm.state_dict())
        else:
            merge = source.stages[i - 1].downsample
            weight = merge.reduction.weight * merge.norm.weight  # (C_out, 4 * C_in), order (c, kh, kw)
            weight = weight - weight.mean(dim=1, keepdim=True)
            kernel[..., 1:3, 1:3] = weight.view(*kernel.shape[:2], 2, 2)
            stage.patch_embed.proj.bias.copy_(merge.reduction.weight @ merge.norm.bias)
        nn.init.zeros_(stage.cpe.proj.weight)
        nn.init.zeros_(stage.cpe.proj.bias)
        for block, old in zip(stage.blocks, source.stages[i].blocks):
            copy_block(block, old, psa, scale)
    model.norm3.load_state_dict(source.norm3.state_dict())
    return model


def copy_block(block: nn.Module, old: nn.Module, psa: str, scale: float) -> None:
    channels = block.attn.norm.normalized_shape[0]
    block.attn.norm.load_state_dict(old.norm1.state_dict())
    qkv = old.attn.w_msa.qkv
    block.attn.dsa_qkv.weight.copy_(qkv.weight)
    block.attn.dsa_qkv.weight[2 * channels :] -= torch.eye(channels)
    block.attn.dsa_qkv.bias.copy_(qkv.bias)
    block.attn.proj.weight.copy_(old.attn.w_msa.proj.weight * scale)
    block.attn.proj.bias.copy_(old.attn.w_msa.proj.bias)
    if psa == 'identity':
        block.attn.psa_qk.weight[channels:] = block.attn.psa_qk.weight[:channels].mul_(50)
    block.mlp.norm.load_state_dict(old.norm2.state_dict())
    block.mlp.fc1.load_state_dict(old.ffn.layers[0][0].state_dict())
    block.mlp.fc2.load_state_dict(old.ffn.layers[1].state_dict())


@torch.no_grad()
def merged_maps(source: nn.Module, images: Tensor) -> dict[int, Tensor]:
    """What the Swin's stages 1 to 3 get from the merges before them, (B, N, C)."""
    wanted: dict[int, Tensor] = {}
    hooks = [
        source.stages[i].downsample.register_forward_hook(lambda _m, _in, out, i=i: wanted.update({i + 1: out[0]}))
        for i in range(3)
    ]
    source(images)
    for hook in hooks:
        hook.remove()
    return wanted


@torch.no_grad()
def match_moments(model: SepViT, wanted: dict[int, Tensor], images: Tensor) -> None:
    """Gives the norms after the merges the mean and deviation of each channel that the Swin has there."""
    for i in (1, 2, 3):  # from the outside in: what a stage gets depends on the ones before it
        norm = model.stages[i].patch_embed.norm
        found: list[Tensor] = []
        hook = norm.register_forward_hook(lambda _m, _in, out, found=found: found.append(out))
        model(images)
        hook.remove()
        got, want = found[0].flatten(0, 2), wanted[i].flatten(0, 1)
        gain = want.std(dim=0) / got.std(dim=0).clamp(min=1e-3)
        norm.bias.copy_(want.mean(dim=0) - gain * got.mean(dim=0))
        norm.weight.copy_(gain)


@torch.no_grad()
def last_map(model: nn.Module, images: Tensor) -> Tensor:
    """The last map, each channel's mean over the images taken off."""
    x = model(images)[-1]
    return x - x.mean(dim=(0, 2, 3), keepdim=True)


def convert(work: Path) -> Path:
    """Of the ways to begin PSA, takes the one whose last map is the most like the Swin's."""
    source = swin()
    source.eval()  # it returns nothing
    state = torch.load(work / 'swin' / 'last.pth', map_location='cpu', weights_only=True)['average']
    source.load_state_dict({k[len(PREFIX) :]: v for k, v in state.items() if k.startswith(PREFIX)})
    rows = np.load(sorted(work.glob('*.images.npy'))[0], mmap_mode='r')[:512]
    fit, held_out = normalize(rows[:256]), normalize(rows[256:])
    sizes = (held_out, F.avg_pool2d(held_out, 2))
    # What the Swin says is the same for all ways.
    wanted, theirs = merged_maps(source, fit), [last_map(source, images) for images in sizes]
    best, chosen = -1.0, None
    for psa in PSA:
        for scale in (0.5, 1.0):
            model = from_swin(source, psa, scale).eval()
            match_moments(model, wanted, fit)
            ours = [last_map(model, images) for images in sizes]
            values = [float(F.cosine_similarity(x, y, dim=1).mean()) for x, y in zip(ours, theirs)]
            print(f'PSA {psa}, projection times {scale}: cosine {values[0]:.3f}, at half the size {values[1]:.3f}')
            if values[1] > best:  # fine-tuning is at that size
                best, chosen = values[1], model
    return save(chosen.state_dict(), work / 'from_swin.pth')


def save(state: dict[str, Tensor], file: Path) -> Path:
    torch.save({'state_dict': {PREFIX + name: value for name, value in state.items()}}, file)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('command', choices=('train', 'compare'))
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--minutes', type=float, default=15)
    parser.add_argument('--only', choices=('swin', 'sepvit'), nargs='+', default=('swin', 'sepvit'))
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--rate', type=float, default=5e-4)
    parser.add_argument('--test', type=int, default=5000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    MMLogger.get_instance('weights', log_level='ERROR')
    if args.command == 'train':
        for name in args.only:
            backbone = swin() if name == 'swin' else None
            distill.train(args.work, args.work / name, args.minutes, 4e-4, 32, backbone=backbone)
        return
    starts = {  # from scratch is in the table of few labels
        'from a Swin': convert(args.work),
        'distilled as long': save(student(args.work / 'sepvit' / 'last.pth'), args.work / 'as_long.pth'),
    }
    for seed in args.seeds:
        for arm, file in starts.items():
            start = {'type': 'Pretrained', 'checkpoint': str(file), 'prefix': PREFIX}
            fashion.run('swin', arm, {**fashion.SEPVIT, 'init_cfg': start}, 1000, seed, args.steps, args)


if __name__ == '__main__':
    main()
