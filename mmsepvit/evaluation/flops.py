"""Counting parameters and multiply-adds, in full and as the paper counts them (see ``docs/counting.md``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..errors import UserError
from ..models import FeatureDistillation, SepViT

DEFAULT_SHAPES = {'mmpretrain': (224, 224), 'mmseg': (512, 2048), 'mmdet': (800, 1280)}
"""Height and width at which the paper counts, by the config's ``default_scope``."""

_PARTS = (
    'backbone',
    'neck',
    'head',
    'decode_head',
    'auxiliary_head',
    'bbox_head',
    'rpn_head',
    'roi_head.bbox_head',
    'roi_head.mask_head',
)

# What else is counted multiplies two activations: bmm, baddbmm and the fused attention kernels.
_KINDS = {
    torch.ops.aten.convolution: 'convolution',
    torch.ops.aten.mm: 'linear',
    torch.ops.aten.addmm: 'linear',
}


@dataclass(frozen=True)
class Count:
    """Parameters of a part of a model, and the multiply-adds that one image costs there."""

    params: int = 0
    linear: int = 0
    convolution: int = 0
    attention: int = 0

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return self.linear + self.convolution + self.attention

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values())))

    def as_dict(self) -> dict[str, int]:
        """The fields and ``macs``."""
        return {**asdict(self), 'macs': self.macs}


@dataclass(frozen=True)
class ModelCount:
    """A model's counts.

    Attributes:
        shape: Height and width of the image in pixels.
        full: Every part of the model, with all that is counted in it.
        paper: The same parts as the paper counts them; None where the backbone is not the paper's.
    """

    shape: tuple[int, int]
    full: dict[str, Count]
    paper: dict[str, Count] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: the parts and their sum, ``model``, in both conventions."""
        tables = {'full': self.full, 'paper': self.paper}
        return {
            'shape': list(self.shape),
            **{
                name: parts and {part: count.as_dict() for part, count in with_total(parts).items()}
                for name, parts in tables.items()
            },
        }


def with_total(parts: dict[str, Count]) -> dict[str, Count]:
    """The parts, and their sum as ``model``."""
    return {**parts, 'model': sum(parts.values(), Count())}


def count_config(config: Config, shape: tuple[int, int] | None = None) -> ModelCount:
    """Counts the model of a config.

    Needs no data, no weights, and no memory beyond the parameters: in the forward pass only shapes are computed.

    Args:
        config: The config of a classifier, a segmentor with one decode head, or a detector with one or two stages; of a
            distillation the student alone is counted.
        shape: Height and width of the image in pixels. Defaults to those at which the paper counts.

    Returns:
        The counts.

    Raises:
        UserError: The model has parts of another kind, or they do not fit together at this shape.
    """
    height, width = shape or DEFAULT_SHAPES.get(config.default_scope, (512, 512))
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = _build(config.model).eval().requires_grad_(False)
    for module in model.modules():
        # PyTorch turns a linear layer with frozen weights into a batched product where its input is not contiguous, and
        # that would be counted as attention. Of the rest none is trainable, which torch 2.11's counter needs here.
        if isinstance(module, nn.Linear):
            module.requires_grad_(True)
    parts = _parts(model)
    full = {name: Count(params=_num_params(part)) for name, part in parts.items()}

    def run(name: str, inputs: Any) -> Any:
        with FlopCounterMode(display=False) as counter:
            try:
                outputs = parts[name](inputs)
            except Exception as error:  # a head of another kind may ask for anything
                reason = str(error).strip().split('\n')[0] or type(error).__name__
                raise UserError(
                    f'model.{name} cannot be run on what it gets from {bands} bands of {height}x{width}: {reason}'
                ) from None
        for op, flops in counter.get_flop_counts().get('Global', {}).items():
            full[name] += Count(**{_KINDS.get(op, 'attention'): flops // 2})
        return outputs

    bands = _num_bands(model.backbone)
    with torch.no_grad():
        _run_parts(model, torch.empty(1, bands, height, width, device='meta'), run)
    return ModelCount((height, width), full, _as_the_paper_counts(full, model, config.default_scope))


def _build(config: dict) -> nn.Module:
    """A model on the meta device, whose parameters have shapes and no numbers."""
    try:
        with torch.device('meta'):
            return MODELS.build(config)
    except (RuntimeError, NotImplementedError):  # it reads numbers out of tensors while it is built
        return MODELS.build(config).to('meta')


def _num_bands(backbone: nn.Module) -> int:
    """Number of bands of the images that a backbone is for: the inputs of its first convolution."""
    return next((module.in_channels for module in backbone.modules() if isinstance(module, nn.Conv2d)), 3)


def _num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _parts(model: nn.Module) -> dict[str, nn.Module]:
    if isinstance(model, FeatureDistillation):  # its teachers and projections are gone where the student is used
        return {'backbone': model.backbone}
    modules = dict(model.named_modules())
    parts = {name: modules[name] for name in _PARTS if name in modules}
    lists = [name for name, part in parts.items() if isinstance(part, nn.ModuleList)]
    if lists or sum(map(_num_params, parts.values())) != _num_params(model):
        others = lists or [name for name, _ in model.named_children() if name not in parts]
        raise UserError(
            f'{type(model).__name__} cannot be counted: {", ".join(others)} of it is of another kind than the heads of '
            'a classifier, a segmentor with one decode head, RetinaNet or Mask R-CNN.'
        )
    return parts


def _run_parts(model: nn.Module, images: Tensor, run: Callable[[str, Any], Any]) -> None:
    """Runs each part once, on the shapes that it sees in testing (the auxiliary head as in training)."""
    features = run('backbone', images)
    if isinstance(model, FeatureDistillation):
        return
    if model.with_neck:
        features = run('neck', features)
    for name in ('head', 'decode_head', 'auxiliary_head', 'bbox_head', 'rpn_head'):
        if getattr(model, name, None) is not None:
            run(name, features)
    if getattr(model, 'roi_head', None) is None:
        return
    # How many regions the second stage sees depends on the image; this many are the most.
    for name, regions in (('bbox', model.test_cfg.rpn.max_per_img), ('mask', model.test_cfg.rcnn.max_per_img)):
        if getattr(model.roi_head, f'{name}_head', None) is not None:
            extractor = getattr(model.roi_head, f'{name}_roi_extractor')
            size = extractor.roi_layers[0].output_size
            run(f'roi_head.{name}_head', images.new_empty(regions, extractor.out_channels, *size))


def _as_the_paper_counts(full: dict[str, Count], model: nn.Module, scope: str) -> dict[str, Count] | None:
    if not isinstance(model.backbone, SepViT):
        return None
    if scope == 'mmpretrain':
        return full
    paper = {
        name: Count(count.params) if name == 'auxiliary_head' else Count(count.params, count.linear, count.convolution)
        for name, count in full.items()
    }
    channels = model.backbone.out_channels[-1]
    # The published dense backbones keep the norm and the 1000-class layer of the classifier, and never call them.
    paper['backbone'] += Count(params=2 * channels + 1000 * (channels + 1))
    return paper


def format_table(count: ModelCount) -> str:
    """The counts as text: millions of parameters, billions of multiply-adds."""
    full = with_total(count.full)
    paper = with_total(count.paper) if count.paper else {}
    lines = [
        f'{"":20}{"parameters, M":>18}{"multiply-adds, G":>51}',
        f'{"":20}{"full":>9}{"paper":>9}{"linear":>11}{"conv":>10}{"attention":>10}{"full":>10}{"paper":>10}',
    ]
    for name, part in full.items():
        params = [part.params, paper[name].params if paper else None]
        macs = [part.linear, part.convolution, part.attention, part.macs, paper[name].macs if paper else None]
        cells = [_cell(value, 1e6, 9) for value in params] + [_cell(value, 1e9, 10) for value in macs]
        lines.append(f'{name:20}' + ''.join(cells[:2]) + ' ' + ''.join(cells[2:]))
    return '\n'.join(lines)


def _cell(value: int | None, unit: float, width: int) -> str:
    return f'{"-":>{width}}' if value is None else f'{value / unit:{width}.3f}'
