"""A SepViT that begins with the layers of a trained Swin Transformer (arXiv 2103.14030).

Blocks are copied, the first ones of each stage; a block of shifted windows becomes one of windows of 14 pixels. Where
the two models differ:

- Swin's patch of 4x4 pixels lies at ``[3:7, 3:7]`` of SepViT's kernel of 7x7, whose padding is 3. This is exact.
- Swin's merge is a LayerNorm of 2x2 pixels and a linear layer. Its weights, with the norm's folded in, lie at
  ``[1:3, 1:3]`` of the kernel of 3x3. The norm after the kernel gets the mean and deviation of Swin's maps there.
- DSA adds its input to what attention puts out, so the value's weight loses the identity.
- PSA adds to each window's map the windows' mean, since new queries and keys weigh all windows much alike. With one
  window that is the map again, so the projection is halved; with many it was the best of four ways that were tried.
- Position encodings begin at zero, and Swin's relative positions are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..models import SepViT
from ..models.sepvit import SepViTBlock

_TABLE = re.compile(r'(layers|stages)\.\d+\.blocks\.\d+\.attn\.(w_msa\.)?relative_position_bias_table$')
_PATCHES = 'patch_embed.projection.weight'
_WRAPPERS = re.compile(r'^(module\.)?(backbone\.)?')
_BATCH = 8  # images that are computed at a time; only memory hangs on it


def is_swin(state: Mapping[str, Tensor]) -> bool:
    """Whether parameters are a Swin Transformer's, alone or with a head, of any package."""
    return any(_TABLE.search(name) for name in state)


def start_from_swin(state: Mapping[str, Tensor], images: Tensor) -> tuple[str, SepViT]:
    """Makes a dense SepViT of a trained Swin Transformer's layers.

    Args:
        state: Parameters of a Swin, or of a model with one as ``backbone``, under the names of mmpretrain, mmdet and
            mmseg, of timm or of the original implementation.
        images: Some dozens of images (B, 3, H, W), normalised as the Swin was trained, for the norms after merges.

    Returns:
        The largest SepViT whose stages have the Swin's channels and no more blocks, by name and as a model.

    Raises:
        UserError: mmdet is not there, or the Swin is of version 2, incomplete, or of widths that no SepViT has.
    """
    state = _mm_names(state)
    arch = _arch(state)
    swin = _build(state)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = SepViT(arch).eval()
        for i, stage in enumerate(model.stages):
            if i == 0:
                _embed_patches(stage.patch_embed, swin.patch_embed)
            else:
                _merge_patches(stage.patch_embed, swin.stages[i - 1].downsample)
            nn.init.zeros_(stage.cpe.proj.weight)
            for block, theirs in zip(stage.blocks, swin.stages[i].blocks):
                _copy_block(block, theirs)
        model.norm3.load_state_dict(swin.norm3.state_dict())
        merges = [swin.stages[i].downsample for i in range(3)]
        for i, wanted in enumerate(_outputs(swin, merges, images), start=1):  # a stage reads what those before put out
            _match(model, model.stages[i].patch_embed.norm, wanted, images)
    return arch, model


def _mm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's parameters in float32, under the names that they have in mmdet."""
    try:
        from mmdet.models.backbones.swin import swin_converter
    except ImportError as error:
        raise UserError(f'it is a Swin Transformer; mmdet, which reads it, cannot be imported: {error}') from None
    if any(re.search(r'attn\.(w_msa\.)?(logit_scale|cpb_mlp)', name) for name in state):
        raise UserError('it is a Swin Transformer V2, whose blocks have their norms elsewhere; take one of version 1.')
    with_head = any('backbone.' in name for name in state)
    named = {
        _WRAPPERS.sub('', name): value.float() for name, value in state.items() if not with_head or 'backbone.' in name
    }
    if any(name.startswith('layers.') for name in named):
        if not any(name.startswith('layers.0.downsample.') for name in named):  # timm has it before the next stage
            shifted = {re.sub(r'\d+(?=\.downsample\.)', lambda i: str(int(i[0]) - 1), name): name for name in named}
            named = {name: named[theirs] for name, theirs in shifted.items()}
        named = {name[len('backbone.') :]: value for name, value in swin_converter(named).items()}
    return {re.sub(r'^norm\.', 'norm3.', name): value for name, value in named.items()}


def _depths(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    found = {tuple(map(int, re.findall(r'\d+', name)[:2])) for name in state if _TABLE.search(name)}
    return tuple(sum(stage == i for stage, _ in found) for i in range(4))


def _arch(state: Mapping[str, Tensor]) -> str:
    channels, depths = len(state.get(_PATCHES, ())), _depths(state)
    fitting = [
        name
        for name, arch in SepViT.arch_zoo.items()
        if arch['channels'][0] == channels and all(a <= b for a, b in zip(arch['depths'], depths))
    ]
    if not fitting:
        raise UserError(
            f'no SepViT has the {channels} channels of this Swin Transformer and depths up to {depths}.\n'
            'Swin-T, -S and -B become SepViT-T, -S and -B.'
        )
    # Of an architecture's names the whole one comes first, and `max` takes the first.
    return max(fitting, key=lambda name: sum(SepViT.arch_zoo[name]['depths']))


def _build(state: Mapping[str, Tensor]) -> nn.Module:
    from mmdet.models.backbones import SwinTransformer

    tables = [state[f'stages.{i}.blocks.0.attn.w_msa.relative_position_bias_table'] for i in range(4)]
    if len({len(table) for table in tables}) > 1:
        raise UserError('its windows are smaller in its last stages, as it was trained on small images.')
    swin = SwinTransformer(
        embed_dims=len(state[_PATCHES]),
        depths=_depths(state),
        num_heads=[table.shape[1] for table in tables],
        window_size=(int(len(tables[0]) ** 0.5) + 1) // 2,
        out_indices=(3,),
    )
    wanted = swin.state_dict()
    own = {name: value for name, value in state.items() if name in wanted}
    other = [name for name, value in own.items() if value.shape != wanted[name].shape]
    missing = sorted(dict(swin.named_parameters()).keys() - own.keys())
    if other:
        found, right = (tuple(shapes[other[0]].shape) for shapes in (own, wanted))
        raise UserError(f"{other[0]} has the shape {found}, a Swin Transformer's {right}.")
    if missing:
        raise UserError(f'{len(missing)} parameters of the Swin Transformer are missing, such as {missing[0]}.')
    swin.load_state_dict(own, strict=False)  # a table of positions in windows is no parameter, and not in all files
    swin.eval()
    return swin


def _embed_patches(embed: nn.Module, theirs: nn.Module) -> None:
    embed.proj.weight.zero_()[..., 3:7, 3:7] = theirs.projection.weight
    embed.proj.bias.copy_(theirs.projection.bias)
    embed.norm.load_state_dict(theirs.norm.state_dict())


def _merge_patches(embed: nn.Module, merge: nn.Module) -> None:
    weight = merge.reduction.weight * merge.norm.weight  # (C_out, 4 * C_in) in the order (C_in, 2, 2)
    weight = weight - weight.mean(dim=1, keepdim=True)  # the norm takes the mean of the pixels off
    kernel = embed.proj.weight.zero_()
    kernel[..., 1:3, 1:3] = weight.view(*kernel.shape[:2], 2, 2)
    embed.proj.bias.copy_(merge.reduction.weight @ merge.norm.bias)


def _copy_block(block: SepViTBlock, theirs: nn.Module) -> None:
    attention = theirs.attn.w_msa
    channels = attention.proj.out_features
    block.attn.norm.load_state_dict(theirs.norm1.state_dict())
    block.attn.dsa_qkv.load_state_dict(attention.qkv.state_dict())
    block.attn.dsa_qkv.weight[2 * channels :] -= torch.eye(channels)
    block.attn.proj.weight.copy_(attention.proj.weight / 2)
    block.attn.proj.bias.copy_(attention.proj.bias)
    block.mlp.norm.load_state_dict(theirs.norm2.state_dict())
    block.mlp.fc1.load_state_dict(theirs.ffn.layers[0][0].state_dict())
    block.mlp.fc2.load_state_dict(theirs.ffn.layers[1].state_dict())


def _outputs(model: nn.Module, modules: Sequence[nn.Module], images: Tensor) -> list[Tensor]:
    """What modules of a model put out for images, each (pixels of all images, C)."""
    found: dict[nn.Module, list[Tensor]] = {module: [] for module in modules}

    def keep(module: nn.Module, _: Any, out: Tensor | tuple[Tensor, Any]) -> None:
        tokens = out if isinstance(out, Tensor) else out[0]  # a merge of mmdet returns the map's size beside it
        found[module].append(tokens.flatten(0, -2))

    hooks = [module.register_forward_hook(keep) for module in modules]
    for batch in images.split(_BATCH):
        model(batch)
    for hook in hooks:
        hook.remove()
    return [torch.cat(tokens) for tokens in found.values()]


def _match(model: nn.Module, norm: nn.LayerNorm, wanted: Tensor, images: Tensor) -> None:
    """Gives the output of a norm that is new the mean and deviation of each channel that are wanted."""
    (found,) = _outputs(model, [norm], images)
    gain = wanted.std(dim=0) / found.std(dim=0).clamp(min=1e-3)
    norm.bias.copy_(wanted.mean(dim=0) - gain * found.mean(dim=0))
    norm.weight.copy_(gain)
