"""Trying a config: build it, compute losses, go backward, look at the gradients, step, predict."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from torch import nn

from mmsepvit.config_tree import limit_regions, nodes, replace_sync_bn
from mmsepvit.configs.sources import package_configs
from mmsepvit.configs.swap.classes import is_a, quiet, type_name
from mmsepvit.models import SepViT

from .poses import pose_batch
from .samples import image_side, kind_of, make_batch

# Trackers that train nothing: detector and re-identification are trained by themselves.
_UNTRAINED = ('mmdet.DeepSORT', 'mmdet.StrongSORT', 'mmdet.SORT')
# Most regions of an image that a second stage trains on.
_REGIONS = 64


class TrialError(AssertionError):
    """The model ran, but not as it must: a loss or gradient is missing or not finite."""


@dataclass
class Trial:
    """What a trial saw.

    Attributes:
        losses: Names and values of the losses.
        parameters: Number of the backbones' parameters that train.
        frozen: Number of those that the config freezes.
        predictions: Number of predictions.
    """

    losses: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    frozen: int = 0
    predictions: int = 0


def trial_model(config: Config) -> dict:
    """The model of a config, for small images and without weights that would be downloaded."""
    model = copy.deepcopy(config.to_dict()['model'])
    if model.get('data_preprocessor') is None and config.get('data_preprocessor') is not None:
        model['data_preprocessor'] = copy.deepcopy(config.to_dict()['data_preprocessor'])
    side = image_side(model)
    replace_sync_bn(model)  # mmcv's wants a process group to be built
    limit_regions(model, _REGIONS)  # hundreds of regions make the same steps as few do
    for node in nodes(model):
        if isinstance(node.get('init_cfg'), dict) and node['init_cfg'].get('type') == 'Pretrained':
            node.pop('init_cfg')
        for key in ('pretrained', 'teacher_ckpt'):
            if isinstance(node.get(key), str):
                node[key] = None
        if isinstance(node.get('max_per_img'), int):
            node['max_per_img'] = min(node['max_per_img'], 2 * _REGIONS)
        if is_a(node, 'mmrotate.H2RBoxDetector', 'mmrotate.H2RBoxV2Detector'):  # it crops what it has rotated
            node['crop_size'] = (side, side)
        if 'num_cp' in node:  # checkpointing of transformer layers, by a package that is about GPU memory alone
            node['num_cp'] = 0
        if 'prototype' in node:  # a retriever's gallery, which is a data set otherwise
            node['prototype'] = torch.rand(node['head']['num_classes'], node['head']['in_channels'])
        teacher = node.get('teacher_config')
        if isinstance(teacher, str) and not Path(teacher).is_file():
            node['teacher_config'] = _teacher(teacher)
        if type_name(node).lower().endswith('datapreprocessor'):
            augments = node.get('batch_augments')
            if isinstance(augments, (list, tuple)):  # they set the size of the images; mmpretrain's dict mixes them
                node['batch_augments'] = None
            if 'size' in node:
                node['size'] = (side, side)
    return model


def _teacher(path: str) -> dict:
    """A teacher's config, named by a path in mmdet's repository, without its weights."""
    config = Config.fromfile(package_configs('mmdet') / path.partition('configs/')[2])
    return Config({'model': trial_model(config)})


def build(config: Config) -> nn.Module:
    """Builds and initialises a config's model as the Runner does on a CPU."""
    scope = config.get('default_scope')
    if scope:
        import_module(f'{scope}.registry')
        import_module(f'{scope}.models')
    with quiet():
        model = MODELS.build(ConfigDict(trial_model(config)))
        model.init_weights()
        return revert_sync_batchnorm(model)  # of layers that no config names


def _finite_loss(model: nn.Module, data: dict, losses: dict) -> tuple[torch.Tensor, dict[str, float]]:
    total, values = model.parse_losses(losses)
    if not torch.isfinite(total):
        raise TrialError(f'the loss is {total.item()}')
    return total, {name: float(value) for name, value in values.items()}


def _check_gradients(model: nn.Module, all_frozen_is_meant: bool) -> tuple[int, int]:
    """Every parameter of SepViT that trains has a finite gradient; returns their numbers, the frozen last."""
    backbones = {name: m for name, m in model.named_modules() if isinstance(m, SepViT)}
    if not backbones:
        raise TrialError('there is no SepViT in the model')
    training = frozen = 0
    for prefix, backbone in backbones.items():
        for name, parameter in backbone.named_parameters():
            if not parameter.requires_grad:
                frozen += 1
                continue
            training += 1
            if parameter.grad is None:
                raise TrialError(f'{prefix}.{name} got no gradient')
            if not torch.isfinite(parameter.grad).all():
                raise TrialError(f'the gradient of {prefix}.{name} is not finite')
    if not training and not all_frozen_is_meant:
        raise TrialError('no parameter of SepViT trains')
    return training, frozen


def _optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer | None:
    """The config's own optimizer, which has all of SepViT that trains in it; None where a config has none."""
    wrapper = copy.deepcopy(config.to_dict().get('optim_wrapper'))
    if not wrapper:
        return None
    if wrapper.get('type') == 'AmpOptimWrapper':  # half precision wants a GPU
        wrapper = {k: v for k, v in wrapper.items() if k not in ('dtype', 'loss_scale', 'use_fp16')}
        wrapper['type'] = 'OptimWrapper'
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    known = {id(p) for group in optimizer.param_groups for p in group['params']}
    for backbone in (m for m in model.modules() if isinstance(m, SepViT)):
        missing = [n for n, p in backbone.named_parameters() if p.requires_grad and id(p) not in known]
        if missing:
            raise TrialError(f'{missing[0]} is not in the optimizer')
    return optimizer


def run(config: Config, swapped: bool = True, seed: int = 0) -> Trial:
    """Tries a config.

    Args:
        config: The config.
        swapped: Whether SepViT is in it, whose gradients are then checked. Defaults to True.
        seed: Seed of weights and inputs. Defaults to 0.

    Raises:
        TrialError: A loss or a gradient is missing or not finite.
        Exception: Whatever the model itself raises.
    """
    set_random_seed(seed)  # of NumPy too, from which pipelines draw
    scope = config.get('default_scope')
    result = Trial()
    hub = MessageHub.get_current_instance()  # some losses warm up and ask the Runner how far it is
    for name, value in {'iter': 0, 'max_iters': 100, 'epoch': 0, 'max_epochs': 1}.items():
        hub.update_info(name, value)
    with DefaultScope.overwrite_default_scope(scope):
        model = build(config)
        # Before the first batch, as the Runner does: DDQ ties parts of itself together in its loss.
        optimizer = _optimizer(model, config)
        cfg = trial_model(config)
        frozen_meant = any(
            is_a(n, 'mmsepvit.SepViT') and n.get('frozen_stages', -1) >= max(n['out_indices']) + 1 for n in nodes(cfg)
        )
        parts = [(model, cfg)]
        if is_a(cfg, *_UNTRAINED):
            parts = [(getattr(model, key), cfg[key]) for key in ('detector', 'reid') if cfg.get(key)]
        for part, part_cfg in parts:
            part.train()
            batch = _batch(config, part_cfg, training=True, seed=seed)
            preprocessor = part.data_preprocessor
            if part is not model and part_cfg.get('data_preprocessor') is None:
                preprocessor = _plain_preprocessor(part_cfg)
            data = preprocessor(batch, True)
            losses = part(**data, mode='loss')
            total, values = _finite_loss(part, data, losses)
            total.backward()
            result.losses.update(values)
        if swapped:
            result.parameters, result.frozen = _check_gradients(model, frozen_meant)
        if optimizer is not None:
            optimizer.step()
        model.eval()
        kind = kind_of(cfg)
        with torch.no_grad():
            batch = _batch(config, cfg, training=False, seed=seed + 1)
            data = model.data_preprocessor(batch, False)
            if kind == 'self_supervised':  # it predicts nothing; its features are what it is for
                outputs = model(data['inputs'][0], mode='tensor')
            else:
                outputs = model(**data, mode='predict')
        result.predictions = len(outputs)
        if not result.predictions:
            raise TrialError('there is no prediction')
    return result


def _batch(config: Config, model: dict, training: bool, seed: int) -> dict[str, Any]:
    """A batch for a model; poses go through the whole config's pipeline, and boxes get the type that it asks for."""
    if kind_of(model) == 'pose':
        return pose_batch(config, training, np.random.default_rng(seed))
    batch = make_batch(model, training, seed)
    kinds = [_box_type(node) for node in nodes((config.get('train_dataloader') or {}).get('dataset'))]
    asked = [kind for kind in kinds if kind][-1:]  # the last step of the pipeline that names one
    for sample in batch['data_samples'] if asked else ():  # boxes with an angle, or of four corners
        for instances in (sample.gt_instances, sample.ignored_instances):
            instances.bboxes = instances.bboxes.convert_to(asked[0])
    return batch


def _box_type(step: dict) -> str | None:
    """Type of the boxes after a step of a pipeline, None where it leaves them as they are."""
    return (step.get('box_type_mapping') or {}).get('gt_bboxes') or step.get('box_type')


def _plain_preprocessor(cfg: dict) -> nn.Module:
    reid = kind_of(cfg) == 'reid'
    return MODELS.build(
        {'type': 'ReIDDataPreprocessor' if reid else 'DetDataPreprocessor', 'mean': [0.0] * 3, 'std': [255.0] * 3}
    )
