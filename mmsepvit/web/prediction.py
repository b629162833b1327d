"""What a model says of one image file, and how long that takes, by the packages' own clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ..datasets.images import normalised, read_image
from ..errors import UserError
from ..export.runtimes import open_file
from ..models import SepViT
from ..visualize import BlockAttention, window_attention

_CLASSES = 8  # that are named
_LEAST_SCORE = 0.3  # of a detected object that is named, as mmdet draws them
_SIZE = 512  # longer side of the image whose attention is shown
_ROUNDS = 3


@dataclass
class Timing:
    """Milliseconds that a network took for an image, the median of some rounds.

    Attributes:
        name: What was run.
        milliseconds: How long.
        difference: Largest difference of its outputs from PyTorch's, relative to the largest value, or None.
    """

    name: str
    milliseconds: float
    difference: float | None = None


@dataclass
class Prediction:
    """What a model says of an image.

    Attributes:
        picture: The prediction over the image, uint8 (H, W, 3), red, green and blue.
        classes: Name of a class to its share of the pixels, its highest score or its probability, the largest first.
        meaning: What the numbers of the classes are.
        timings: What took how long.
    """

    picture: np.ndarray
    classes: dict[str, float]
    meaning: str
    timings: list[Timing]


class Predictor:
    """A model, and perhaps its exported file, for images one at a time.

    Args:
        config: Config with one SepViT in it.
        checkpoint: Path of a checkpoint that fits it, or None for a backbone alone, of ``config.model.backbone``.
        exported: ONNX file of the model or of its backbone. Defaults to None.
        device: Where it is computed. Defaults to the CPU.

    Attributes:
        heads: Name of a block to how many heads it has, from the first stage on.
    """

    def __init__(
        self, config: Config, checkpoint: str | None, exported: str | None = None, device: str = 'cpu'
    ) -> None:
        self.config = config
        self.device = device
        scope = config.default_scope if checkpoint else ''
        if checkpoint:
            init_default_scope(scope)
        self._predict = _CLIENTS[scope](config, checkpoint, device)
        self.model: nn.Module = self._predict.model.eval()
        self.backbone = _only_backbone(self.model)
        self.exported = None if exported is None else open_file(Path(exported), 'onnxruntime')
        self.heads = {
            f'stages.{i}.blocks.{j}': block.attn.num_heads
            for i, stage in enumerate(self.backbone.stages)
            for j, block in enumerate(stage.blocks)
        }

    @torch.no_grad()
    def __call__(self, path: str) -> Prediction:
        """Predicts for an image file that `read_image` can read."""
        seen: dict[nn.Module, tuple[tuple, dict]] = {}

        def keep(module: nn.Module, args: tuple, kwargs: dict) -> None:
            seen[module] = args, kwargs

        hooks = [m.register_forward_pre_hook(keep, with_kwargs=True) for m in {self.model, self.backbone}]
        try:
            picture, classes, meaning = self._predict(path)
        finally:
            for hook in hooks:
                hook.remove()
        return Prediction(picture, classes, meaning, self._time(seen))

    def attention(self, path: str) -> tuple[np.ndarray, list[BlockAttention]]:
        """The image as resized, uint8 (H, W, 3), and the attention weights of every block for it."""
        image = read_image(path, _SIZE)
        return image, window_attention(self.backbone, normalised(image, self.config).to(self.device))

    def _time(self, seen: dict[nn.Module, tuple[tuple, dict]]) -> list[Timing]:
        """Times the model, its backbone and the exported file in turn, on what the first two were given."""
        runs: dict[str, Callable[[], Any]] = {}
        if self.model is not self.backbone:
            args, kwargs = seen[self.model]
            runs['PyTorch, whole model'] = lambda: self.model(*args, **kwargs)
        images: Tensor = seen[self.backbone][0][0]
        runs['PyTorch, backbone'] = lambda: self.backbone(images)
        difference = None
        exported = self.exported
        if exported is not None:
            values = images.cpu().numpy()
            found = list(exported(values))
            difference = _difference([one.cpu().numpy() for one in self.backbone(images)], found)
            what = 'backbone' if difference is not None else 'whole model'
            runs[f'ONNX Runtime, {what}'] = lambda: exported(values)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(_ROUNDS):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        timings = [Timing(name, 1000 * median(values)) for name, values in seconds.items()]
        timings[-1].difference = difference
        return timings


def _difference(wanted: list[np.ndarray], found: list[np.ndarray]) -> float | None:
    """Largest difference relative to the largest value; None where they are not the same maps."""
    if [one.shape for one in wanted] != [one.shape for one in found]:
        return None
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1)) for a, b in zip(wanted, found))


def _only_backbone(model: nn.Module) -> SepViT:
    backbones = [module for module in model.modules() if isinstance(module, SepViT)]
    if len(backbones) != 1:
        raise UserError(f'the config has {len(backbones)} SepViT backbones; the page shows models with one.')
    return backbones[0]


def _largest(classes: dict[str, float]) -> dict[str, float]:
    return dict(sorted(classes.items(), key=lambda item: -item[1])[:_CLASSES])


class _Segmentor:
    # By mmseg's functions: where a checkpoint does not name its classes, its inferencer takes those of Cityscapes.
    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        from mmseg.apis import init_model

        self.model = init_model(config.filename, checkpoint, device=device)

    def __call__(self, path: str) -> tuple[np.ndarray, dict[str, float], str]:
        from mmseg.apis import inference_model, show_result_pyplot

        found = inference_model(self.model, path)
        picture = show_result_pyplot(self.model, path, found, draw_gt=False, show=False)
        labels, counts = np.unique(found.pred_sem_seg.data.cpu().numpy(), return_counts=True)
        names = self.model.dataset_meta['classes']
        shares = {names[label]: float(count / counts.sum()) for label, count in zip(labels, counts)}
        return picture, _largest(shares), 'share of the pixels'


class _Detector:
    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        from mmdet.apis import DetInferencer

        self.inferencer = DetInferencer(config.filename, checkpoint, device=device, show_progress=False)
        self.model = self.inferencer.model

    def __call__(self, path: str) -> tuple[np.ndarray, dict[str, float], str]:
        found = self.inferencer(path, return_vis=True, return_datasamples=True, pred_score_thr=_LEAST_SCORE)
        instances = found['predictions'][0].pred_instances
        scores: dict[str, float] = {}
        for label, score in zip(instances.labels.tolist(), instances.scores.tolist()):
            name = self.model.dataset_meta['classes'][label]
            if score >= _LEAST_SCORE:
                scores[name] = max(score, scores.get(name, 0))
        return found['visualization'][0], _largest(scores), f'highest score, from {_LEAST_SCORE} on'


class _Classifier:
    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        from mmpretrain import ImageClassificationInferencer

        self.inferencer = ImageClassificationInferencer(config.filename, pretrained=checkpoint, device=device)
        self.model = self.inferencer.model

    def __call__(self, path: str) -> tuple[np.ndarray, dict[str, float], str]:
        scores = self.inferencer(path)[0]['pred_scores']
        names = self.inferencer.classes or [f'class {i}' for i in range(len(scores))]
        return read_image(path), _largest(dict(zip(names, scores.tolist()))), 'probability'


class _BackboneAlone:
    """Weights without a head: its third map as a picture, the first three principal components as three colours."""

    def __init__(self, config: Config, checkpoint: None, device: str) -> None:
        self.config, self.device = config, device
        self.model = MODELS.build(dict(config.model.backbone))
        self.model.init_weights()

    def __call__(self, path: str) -> tuple[np.ndarray, dict[str, float], str]:
        image = read_image(path, _SIZE)
        maps = self.model(normalised(image, self.config).to(self.device)[None])[2][0].flatten(1).T  # (H*W, C)
        height, width = (-(-side // 16) for side in image.shape[:2])
        _, _, directions = torch.linalg.svd(maps - maps.mean(0), full_matrices=False)
        colours = (maps - maps.mean(0)) @ directions[:3].T
        low, high = colours.amin(0), colours.amax(0)
        colours = ((colours - low) / (high - low).clamp(min=1e-6) * 255).byte().cpu().numpy()
        if colours.shape[1] < 3:  # of fewer than three pixels
            colours = np.pad(colours, ((0, 0), (0, 3 - colours.shape[1])))
        picture = colours.reshape(height, width, 3).repeat(16, 0).repeat(16, 1)[: image.shape[0], : image.shape[1]]
        return picture, {}, ''


_CLIENTS: dict[str, Any] = {'mmseg': _Segmentor, 'mmdet': _Detector, 'mmpretrain': _Classifier, '': _BackboneAlone}
