"""SepViT: blocks, stages, and the backbone with its public contract."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..registry import MODELS
from .attention import SeparableAttention
from .layers import MLP, ConditionalPositionEncoding, DropPath, OverlapPatchEmbed
from .pretrained import checked_loading
from .windows import count_windows

WINDOW_TOKENS = ('zero', 'learnable', 'shared')


def _arch(channels: tuple[int, ...], stage3_depth: int) -> dict[str, tuple]:
    """One of the paper's architectures: heads of 32 channels; DSSA (7) and GSA (14) blocks alternate in stages 2, 3."""
    return {
        'channels': channels,
        'depths': (1, 2, stage3_depth, 2),
        'num_heads': tuple(c // 32 for c in channels),
        'window_sizes': ((7,), (7, 14), (7, 14) * (stage3_depth // 2), (7, 7)),
    }


ARCH_ZOO = {
    'lite': _arch((32, 64, 128, 256), stage3_depth=6),
    'tiny': _arch((96, 192, 384, 768), stage3_depth=6),
    'small': _arch((96, 192, 384, 768), stage3_depth=14),
    'base': _arch((128, 256, 512, 1024), stage3_depth=14),
}
# As in mmpretrain; there is no 'l', which is the large model elsewhere.
ARCH_ZOO.update({name[0]: ARCH_ZOO[name] for name in ('tiny', 'small', 'base')})


class SepViTBlock(nn.Module):
    """A SepViT block: separable attention, then the MLP, each after a LayerNorm and with a shortcut.

    With windows of 7 pixels it is the paper's DSSA block, with 14 its GSA block.

    Args:
        channels: Channels C of the map.
        num_heads: Number of attention heads.
        window_size: Side M of a window in pixels.
        grid: Windows (down, across) of the map at the training size.
        window_token: 'zero', 'learnable' (one a window of ``grid``) or 'shared' (one for all windows).
        single_window_psa: Whether a block whose ``grid`` has one window only has a token and PSA too.
        drop_rate: Dropout rate of the attention's output and in the MLP. Defaults to 0.
        attn_drop_rate: Dropout rate of the attention weights. Defaults to 0.
        drop_path_rate: Stochastic depth rate of both branches. Defaults to 0.
        recompute: Whether the MLP computes GELU again in the backward pass instead of keeping it. Defaults to True.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int,
        grid: tuple[int, int],
        window_token: str = 'zero',
        single_window_psa: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        recompute: bool = True,
    ) -> None:
        super().__init__()
        use_psa = single_window_psa or grid != (1, 1)
        token_grid = {'zero': None, 'learnable': grid, 'shared': (1, 1)}[window_token]
        self.attn = SeparableAttention(
            channels, num_heads, window_size, use_psa, token_grid, attn_drop_rate, proj_drop_rate=drop_rate
        )
        self.mlp = MLP(channels, drop_rate, recompute)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) of any size to the same shape."""
        x = x + self.drop_path(self.attn(x))
        return x + self.drop_path(self.mlp(x))


class SepViTStage(nn.Module):
    """A stage: patch embedding, then blocks, with the conditional position encoding after the first block.

    Args:
        patch_embed: The patch embedding, which takes the map to the stage's stride and channels.
        cpe: The conditional position encoding.
        blocks: The blocks, one at least.
        drop_rate: Dropout rate of the embedded patches. Defaults to 0.
        with_cp: Whether the blocks recompute their activations in the backward pass. Defaults to False.
    """

    def __init__(
        self,
        patch_embed: OverlapPatchEmbed,
        cpe: ConditionalPositionEncoding,
        blocks: Sequence[SepViTBlock],
        drop_rate: float = 0.0,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.patch_embed = patch_embed
        self.drop = nn.Dropout(drop_rate)
        self.blocks = nn.ModuleList(blocks)
        self.cpe = cpe

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C_in) -> (B, ceil(H / stride), ceil(W / stride), C)."""
        x = self.drop(self.patch_embed(x))
        # A trace has no use for it, and would keep the sizes that are computed within.
        recompute = self.with_cp and torch.is_grad_enabled() and not torch.jit.is_tracing()
        for i, block in enumerate(self.blocks):
            if recompute:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
            if i == 0:
                x = self.cpe(x)
        return x


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)  # NumPy's numbers too, which are no int


def _are_whole(values: object) -> bool:
    return isinstance(values, Sequence) and all(map(_is_whole, values))


@MODELS.register_module()
class SepViT(BaseModule):
    """SepViT backbone.

    A PyTorch implementation of SepViT: Separable Vision Transformer, https://arxiv.org/abs/2203.15380.

    The paper's dense model (segmentation, detection) is ``SepViT(arch, window_token='zero')``; its classification
    model is ``SepViT(arch, out_indices=(3,), window_token='learnable', single_window_psa=False)``.

    Args:
        arch (str | dict): Architecture. A name of :attr:`arch_zoo` ('lite', 'tiny', 'small' or 'base') or a dict
            with the keys

            - **channels** (Sequence[int]): Channels of each stage.
            - **depths** (Sequence[int]): Number of blocks of each stage.
            - **num_heads** (Sequence[int]): Attention heads of each stage; they divide its channels.
            - **window_sizes** (Sequence[Sequence[int]]): Side of the windows of each block of each stage, in pixels
              of the stage's map: 7 for the paper's DSSA, 14 for its GSA.

            Defaults to 'tiny'.
        in_channels (int): Channels of the images. Defaults to 3.
        input_size (int | tuple[int, int]): Height and width of the training images in pixels. It fixes the grid of
            learnable window tokens and, with ``single_window_psa=False``, which blocks have one window; the model
            runs at any size. Defaults to 224.
        window_token (str): 'zero' (a constant, as in the paper's dense models), 'learnable' (one a window position
            of ``input_size``, resized bicubically for other sizes, as in its classification models) or 'shared'
            (one learnable token a block for all its windows). Learnable tokens start at zero. Defaults to 'zero'.
        single_window_psa (bool): Whether blocks with a single window at ``input_size`` have a token and PSA. False
            in the paper's classification models. Defaults to True.
        drop_rate (float): Dropout rate of the embedded patches, the attention's output and the MLP. Defaults to 0.
        attn_drop_rate (float): Dropout rate of the attention weights. Defaults to 0.
        drop_path_rate (float): Stochastic depth rate of the last block; it grows linearly from 0 over all blocks.
            The paper trains with 0.2 (Tiny), 0.3 (Small) and 0.5 (Base). Defaults to 0.
        out_indices (int | Sequence[int]): Stages to output, from 0, or from -1 backwards. Each has a LayerNorm
            ``norm{i}``, whose result is the output and, as in the published dense models, also the next stage's
            input. Defaults to (0, 1, 2, 3).
        frozen_stages (int): What is frozen and kept in eval mode, from construction on: -1 nothing, 0 the patch
            embedding of stage 1, n that and stages 1 to n (the first n) with their output norms. Defaults to -1.
        with_cp (bool): Whether blocks recompute their activations in the backward pass, which saves memory and
            costs about a third more time. Defaults to False.
        init_cfg (dict | list[dict], optional): Initialisation config, such as a ``Pretrained`` one. Defaults to
            None, the published initialisation: linear layers truncated normal with std 0.02, convolutions normal
            with std sqrt(2 / fan_out), biases 0, norms 1 and 0.

    Attributes:
        out_channels (tuple[int, ...]): Channels of each output.
        out_strides (tuple[int, ...]): Stride of each output in pixels of the image.

    Raises:
        ValueError: If an argument is out of range; the message names it, its value and what is allowed.

    Examples:
        >>> import torch
        >>> from mmsepvit import SepViT
        >>> model = SepViT('tiny').eval()
        >>> for feature in model(torch.rand(1, 3, 200, 330)):
        ...     print(tuple(feature.shape))
        (1, 96, 50, 83)
        (1, 192, 25, 42)
        (1, 384, 13, 21)
        (1, 768, 7, 11)
    """

    arch_zoo = ARCH_ZOO

    def __init__(
        self,
        arch: str | dict = 'tiny',
        in_channels: int = 3,
        input_size: int | tuple[int, int] = 224,
        window_token: str = 'zero',
        single_window_psa: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        arch = self._checked_arch(arch)
        channels, depths = tuple(arch['channels']), tuple(arch['depths'])
        num_stages = len(depths)
        height, width = self._checked_input_size(input_size)
        if not _is_whole(in_channels) or in_channels < 1:
            raise ValueError(f'in_channels={in_channels!r} must be at least 1, and a whole number')
        if window_token not in WINDOW_TOKENS:
            raise ValueError(f'window_token={window_token!r} must be one of {WINDOW_TOKENS}')
        rates = {
            'drop_rate': drop_rate,
            'attn_drop_rate': attn_drop_rate,
            'drop_path_rate': drop_path_rate,
        }
        for name, rate in rates.items():
            if not isinstance(rate, Real) or not 0 <= rate < 1:
                raise ValueError(f'{name}={rate!r} must be at least 0 and below 1')
        for name, flag in {'single_window_psa': single_window_psa, 'with_cp': with_cp}.items():
            if flag not in (True, False):  # a text, which Python takes for true whatever it says
                raise ValueError(f'{name}={flag!r} must be True or False')
        out_indices = self._checked_out_indices(out_indices, num_stages)
        if not _is_whole(frozen_stages) or frozen_stages not in range(-1, num_stages + 1):
            raise ValueError(f'frozen_stages={frozen_stages!r} must be from -1 (nothing) to {num_stages} (all stages)')

        self.depths = depths
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        strides = (4,) + (2,) * (num_stages - 1)
        last_block = max(sum(depths) - 1, 1)
        ramp = (drop_path_rate * i / last_block for i in range(sum(depths)))

        self.stages = nn.ModuleList()
        # A stage that nobody reads would leave parameters without a gradient, on which DDP stops.
        for i in range(max(out_indices) + 1):
            height, width = -(-height // strides[i]), -(-width // strides[i])
            blocks = [
                SepViTBlock(
                    channels[i],
                    arch['num_heads'][i],
                    window_size,
                    grid=(count_windows(height, window_size), count_windows(width, window_size)),
                    window_token=window_token,
                    single_window_psa=single_window_psa,
                    drop_rate=drop_rate,
                    attn_drop_rate=attn_drop_rate,
                    drop_path_rate=next(ramp),
                    recompute=not with_cp,
                )
                for window_size in arch['window_sizes'][i]
            ]
            patch_embed = OverlapPatchEmbed(
                channels[i - 1] if i else in_channels,
                channels[i],
                kernel_size=3 if i else 7,
                stride=strides[i],
            )
            cpe = ConditionalPositionEncoding(channels[i])
            self.stages.append(SepViTStage(patch_embed, cpe, blocks, drop_rate, with_cp))
        for i in out_indices:
            self.add_module(f'norm{i}', nn.LayerNorm(channels[i], eps=1e-6))

        self.out_channels = tuple(channels[i] for i in out_indices)
        self.out_strides = tuple(4 * 2**i for i in out_indices)
        self.reset_parameters()
        self._freeze_stages()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Computes the feature maps.

        Args:
            images: Images (B, in_channels, H, W), any H and W.

        Returns:
            One map (B, C_i, ceil(H / s_i), ceil(W / s_i)) for each of ``out_indices``, strides s = 4, 8, 16, 32, each
            after its own LayerNorm ``norm{i}``, contiguous.
        """
        outs = {}
        x = images.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                x = getattr(self, f'norm{i}')(x)  # what goes out also goes on to the next stage, as published
                # mmcv's operators need it contiguous.
                outs[i] = x.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
        return tuple(outs[i] for i in self.out_indices)

    def train(self, mode: bool = True) -> SepViT:
        """Sets the mode, of all but the frozen stages."""
        super().train(mode)
        self._freeze_stages()
        return self

    def init_weights(self) -> None:
        """Initialises the weights: by ``init_cfg`` where it is given, else as published."""
        if not self.init_cfg:
            self.reset_parameters()
        with checked_loading(self):
            super().init_weights()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all weights anew, as published (see the class)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, SeparableAttention) and module.window_token is not None:
                nn.init.zeros_(module.window_token)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Returns the depth of a parameter's layer, for layer-wise learning-rate decay.

        Args:
            param_name: Name of the parameter, such as 'backbone.stages.2.blocks.0.attn.norm.weight'.
            prefix: Prefix of the backbone's own names, such as 'backbone.'. Defaults to ''.

        Returns:
            The depth and the number of layers: 0 for the stem, 1 to the number of blocks for the blocks (the CPE
            belongs to the block it follows, a later patch embedding to the block before it), and the largest, number
            of layers - 1, for the output norms and all that is not the backbone's.
        """
        num_layers = sum(self.depths) + 2
        parts = param_name[len(prefix) :].split('.')
        if not param_name.startswith(prefix) or parts[0] != 'stages':
            return num_layers - 1, num_layers
        stage, part = int(parts[1]), parts[2]
        depth = sum(self.depths[:stage])
        if part == 'blocks':
            depth += int(parts[3]) + 1
        elif part == 'cpe':
            depth += 1
        return depth, num_layers

    def _freeze_stages(self) -> None:
        """Freezes at construction as well, so that an optimizer or DDP built before `train()` sees it."""
        if self.frozen_stages < 0:
            return
        frozen: list[nn.Module] = [self.stages[0].patch_embed, *self.stages[: self.frozen_stages]]
        frozen += [getattr(self, f'norm{i}') for i in self.out_indices if i < self.frozen_stages]
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    @classmethod
    def _checked_arch(cls, arch: str | dict) -> dict:
        """Returns the architecture as a dict of the arch_zoo's form.

        Raises:
            ValueError: If the name is unknown, or a dict's keys, lengths or numbers do not fit together.
        """
        if isinstance(arch, str):
            if arch.lower() not in cls.arch_zoo:
                raise ValueError(f'arch={arch!r} must be one of {sorted(cls.arch_zoo)}, or a dict')
            return cls.arch_zoo[arch.lower()]
        keys = set(cls.arch_zoo['tiny'])
        if not isinstance(arch, dict) or set(arch) != keys:
            given = sorted(arch) if isinstance(arch, dict) else repr(arch)
            raise ValueError(f'arch={given} must be a name or a dict with the keys {sorted(keys)}')
        for key in sorted(keys):
            rows = arch[key] if key == 'window_sizes' else [arch[key]]
            if not isinstance(rows, Sequence) or not all(map(_are_whole, rows)):
                unit = 'whole numbers a stage, one a block' if key == 'window_sizes' else 'a whole number a stage'
                raise ValueError(f'arch: {key}={arch[key]!r} must have {unit}')
        depths = tuple(arch['depths'])
        if not depths or any(len(arch[key]) != len(depths) for key in keys):
            lengths = {key: len(arch[key]) for key in sorted(keys)}
            raise ValueError(f'arch: each entry must have one value a stage, got lengths {lengths}')
        for i, depth in enumerate(depths):
            windows = tuple(arch['window_sizes'][i])
            if depth < 1 or len(windows) != depth or min(windows) < 1:
                raise ValueError(
                    f'arch: window_sizes[{i}]={windows} must have depths[{i}]={depth} entries, '
                    'one at least, each at least 1'
                )
            channels, heads = arch['channels'][i], arch['num_heads'][i]
            if heads < 1 or channels < 1 or channels % heads:
                raise ValueError(f'arch: num_heads[{i}]={heads} must divide channels[{i}]={channels}')
        return arch

    @staticmethod
    def _checked_out_indices(out_indices: int | Sequence[int], num_stages: int) -> tuple[int, ...]:
        given = (out_indices,) if not isinstance(out_indices, Sequence) else tuple(out_indices)
        if not given or any(not _is_whole(i) or i not in range(-num_stages, num_stages) for i in given):
            raise ValueError(
                f'out_indices={out_indices!r} must name stages 0 to {num_stages - 1}, or -{num_stages} to -1, once each'
            )
        indices = tuple(i % num_stages for i in given)
        if len(set(indices)) != len(indices):
            raise ValueError(f'out_indices={out_indices} must name a stage once')
        return indices

    @staticmethod
    def _checked_input_size(input_size: int | tuple[int, int]) -> tuple[int, int]:
        size = (input_size, input_size) if not isinstance(input_size, Sequence) else tuple(input_size)
        if len(size) != 2 or any(not _is_whole(side) or side < 1 for side in size):
            raise ValueError(f'input_size={input_size!r} must be a positive int or (height, width)')
        return size
