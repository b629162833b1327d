"""Pretraining without labels: a backbone learns to give the feature maps of a trained one, its teacher."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..registry import MODELS

LOSSES = ('smooth_l1', 'cosine')
STANDARDIZATIONS = ('layer', 'channel')


class Targets(NamedTuple):
    """What the teachers say of a batch of images.

    Attributes:
        maps: One of shape (B, C, h, w) or (B, C) for each pair.
        logits: Class scores (B, classes), or None where no KL term is asked for.
    """

    maps: tuple[Tensor, ...]
    logits: Tensor | None


class _Frozen:
    """Teachers that a model uses but does not own.

    They are no submodules: they stay out of the state dict, the optimizer, DDP and `train()`, and a copy of the model,
    such as its moving average, shares them.
    """

    def __init__(self, teachers: Sequence[nn.Module]) -> None:
        self.teachers = tuple(teachers)
        self.freeze()

    def freeze(self) -> None:
        for teacher in self.teachers:
            teacher.requires_grad_(False).eval()

    def __deepcopy__(self, memo: dict) -> _Frozen:
        return self


@MODELS.register_module()
class FeatureDistillation(BaseModel):
    """Trains a backbone to give the feature maps of frozen teachers, on images without labels.

    The student is the dense model itself, so that segmentation and detection start from all of its weights:
    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')``. Attributes are named as in mmpretrain's
    self-supervised models: ``backbone`` is the student, ``neck`` holds the 1x1 projections, which training alone needs.

    Args:
        backbone (dict | nn.Module): The student; it returns a tuple of maps and has ``out_channels``.
        teachers (dict | Sequence[dict]): One or more backbones or classifiers of any registry, with their weights in
            ``init_cfg``. They get the images as ``data_preprocessor`` gives them, so its mean and std should be theirs.
        pairs (Sequence[dict]): What is compared with what, each a dict with the keys

            - **student** (int): Index of one of the student's outputs.
            - **teacher** (int): Index of one of the teachers' outputs, counted on from one teacher to the next.
            - **channels** (int): Channels of that output.
            - **weight** (float): Weight of the loss. Defaults to 1.

        loss (str): 'smooth_l1' (beta 2) or 'cosine' (1 minus the cosine over channels). Defaults to 'smooth_l1'.
        standardize (str): What brings the target to mean 0 and variance 1: 'layer', each position over its channels,
            or 'channel', each channel over the batch, which learns faster from small batches. Defaults to 'layer'.
        kl (dict, optional): Adds the Kullback-Leibler divergence from the class scores of the teacher that is a
            classifier, with the keys ``num_classes`` and, if wanted, ``weight`` and ``temperature`` (both 1). The
            student's scores are those of ``head.fc`` on its last map, averaged. Defaults to None.
        data_preprocessor (dict | nn.Module, optional): See mmengine's BaseModel. Defaults to None.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: An index, name or key that does not exist, or a student whose last map nothing is compared with.
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        teachers: dict | Sequence[dict],
        pairs: Sequence[dict],
        loss: str = 'smooth_l1',
        standardize: str = 'layer',
        kl: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if loss not in LOSSES:
            raise ValueError(f'loss={loss!r} must be one of {LOSSES}')
        if standardize not in STANDARDIZATIONS:
            raise ValueError(f'standardize={standardize!r} must be one of {STANDARDIZATIONS}')
        self.loss_type = loss
        self.standardize = standardize
        self.backbone = _build(backbone)
        self._frozen = _Frozen([_build(teacher) for teacher in _as_list(teachers)])

        channels = self.backbone.out_channels
        self.pairs = [_checked_pair(pair, len(channels)) for pair in pairs]
        if not kl and len(channels) - 1 not in {pair['student'] for pair in self.pairs}:
            raise ValueError(
                f"pairs: none has student={len(channels) - 1}, so the student's last stage would learn nothing; "
                'add a pair, or give the student fewer out_indices'
            )
        self.neck = nn.ModuleList(
            nn.Conv2d(channels[pair['student']], pair['channels'], kernel_size=1) for pair in self.pairs
        )
        self.kl = {'weight': 1.0, 'temperature': 1.0, **kl} if kl else None
        if self.kl:
            # Named as in mmpretrain's linear head, so that a classifier can start from it.
            self.head = nn.Sequential(OrderedDict(fc=nn.Linear(channels[-1], self.kl['num_classes'])))

    @property
    def target_generator(self) -> tuple[nn.Module, ...]:
        """The teachers."""
        return self._frozen.teachers

    def init_weights(self) -> None:
        """Initialises the student, and the teachers by their own ``init_cfg``."""
        super().init_weights()
        for teacher in self.target_generator:
            if not any(getattr(module, 'init_cfg', None) for module in teacher.modules()):
                print_log(
                    f'teacher {type(teacher).__name__} has no init_cfg: unless it loads weights by itself, '
                    'it is random and teaches nothing',
                    logger='current',
                    level=logging.WARNING,
                )
            if hasattr(teacher, 'init_weights'):
                teacher.init_weights()
        self._frozen.freeze()

    def forward(
        self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | tuple[Tensor, ...]:
        """Computes the losses ('loss') or the student's maps ('tensor') of images (B, 3, H, W); labels are not read.

        Raises:
            NotImplementedError: Of mode 'predict': there is nothing that a test could compare.
        """
        if mode == 'tensor':
            return self.backbone(inputs)
        if mode == 'loss':
            return self.distill(self.backbone(inputs), self.extract_targets(inputs))
        raise NotImplementedError(
            f'mode {mode!r}: distillation predicts nothing. Test what starts from its backbone, such as a detector.'
        )

    @torch.no_grad()
    def extract_targets(self, images: Tensor) -> Targets:
        """The teachers' maps, and class scores where a KL term is asked for, of images (B, 3, H, W).

        Raises:
            ValueError: The teachers have fewer outputs than a pair names, or none of them is a classifier.
        """
        maps: list[Tensor] = []
        logits = None
        for teacher in self.target_generator:
            is_classifier = hasattr(teacher, 'backbone')
            outputs = teacher.backbone(images) if is_classifier else teacher(images)
            maps += outputs if isinstance(outputs, (tuple, list)) else [outputs]
            if self.kl and is_classifier and logits is None:
                neck = getattr(teacher, 'neck', None)
                logits = teacher.head(neck(outputs) if neck is not None else outputs)
        if self.kl and logits is None:
            raise ValueError('kl: no teacher is a classifier; give one as a model with a backbone and a head')
        wanted = [pair['teacher'] for pair in self.pairs]
        if wanted and max(wanted) >= len(maps):
            raise ValueError(f'pairs: teacher={max(wanted)}, but the teachers give {len(maps)} outputs, from 0')
        return Targets(tuple(maps[index] for index in wanted), logits)

    def distill(self, maps: Sequence[Tensor], targets: Targets) -> dict[str, Tensor]:
        """Compares the student's maps with targets, which may have been computed before.

        Args:
            maps: The student's outputs (B, C_i, H_i, W_i).
            targets: What `extract_targets` returned for the same images.

        Returns:
            A loss for each pair, and for the class scores.

        Raises:
            ValueError: A target has other channels than its pair says.
        """
        losses = {}
        for pair, project, target in zip(self.pairs, self.neck, targets.maps):
            if target.shape[1] != pair['channels']:
                raise ValueError(
                    f'pairs: teacher={pair["teacher"]} has {target.shape[1]} channels, not channels={pair["channels"]}'
                )
            target = self._standardized(target[..., None, None] if target.ndim == 2 else target)
            # Resizing first costs less where the target is smaller, and commutes with a projection of single pixels.
            output = project(_resize(maps[pair['student']], target.shape[-2:]))
            name = f'loss_{pair["student"]}_{pair["teacher"]}'
            losses[name] = pair['weight'] * self._compare(output.float(), target)
        if self.kl:
            temperature = self.kl['temperature']
            scores = self.head(maps[-1].mean(dim=(2, 3)))
            divergence = F.kl_div(
                F.log_softmax(scores.float() / temperature, dim=1),
                F.log_softmax(targets.logits.float() / temperature, dim=1),  # type: ignore[union-attr]
                reduction='batchmean',
                log_target=True,
            )
            losses['loss_kl'] = self.kl['weight'] * temperature**2 * divergence
        return losses

    def _standardized(self, target: Tensor) -> Tensor:
        target = target.float()
        if self.standardize == 'channel':
            return F.batch_norm(target, None, None, training=True)
        return F.layer_norm(target.movedim(1, -1), target.shape[1:2]).movedim(-1, 1)

    def _compare(self, output: Tensor, target: Tensor) -> Tensor:
        if self.loss_type == 'cosine':
            return 1 - F.cosine_similarity(output, target, dim=1).mean()
        return F.smooth_l1_loss(output, target, beta=2.0)

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> FeatureDistillation:
        """Takes the teachers along where the model goes, to a device or another dtype."""
        for teacher in self.target_generator:
            teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)


def _build(module: dict | nn.Module) -> nn.Module:
    return module if isinstance(module, nn.Module) else MODELS.build(module)


def _as_list(value: dict | Sequence[dict]) -> Sequence[dict]:
    return [value] if isinstance(value, (Mapping, nn.Module)) else value


def _checked_pair(pair: Mapping, outputs: int) -> dict:
    needed, known = {'student', 'teacher', 'channels'}, {'student', 'teacher', 'channels', 'weight'}
    if not needed <= pair.keys() <= known:
        raise ValueError(f'pairs: {dict(pair)} must have the keys {sorted(needed)} and may have weight')
    if not 0 <= pair['student'] < outputs:
        raise ValueError(f'pairs: student={pair["student"]}, but the student gives {outputs} outputs, from 0')
    return {'weight': 1.0, **pair}


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    """Brings a map (B, C, H, W) to a size: means of areas where that is smaller, bilinear where it is larger."""
    if x.shape[-2:] == size:
        return x
    if x.shape[-2] >= size[0] and x.shape[-1] >= size[1]:
        return F.adaptive_avg_pool2d(x, size)
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)
