"""A config and a checkpoint as a ``--mini`` work directory has them, of random weights instead of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import mmsepvit
from mmsepvit.config_tree import model_settings
from mmsepvit.configs.load import load_config
from mmsepvit.configs.mini import apply_mini


def random_run(name: str, folder: Path) -> tuple[str, str]:
    """Writes both for the name of one of our configs; returns their paths."""
    config = load_config(mmsepvit.config(name))
    pytest.importorskip(config.default_scope)
    apply_mini(config)
    init_default_scope(config.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(model_settings(config))
    for parameter in model.parameters():  # else zero biases and small weights answer the same to all images
        parameter.data += 0.1 * torch.randn_like(parameter)
    paths = str(folder / f'{name}.py'), str(folder / f'{name}.pth')
    config.dump(paths[0])
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, paths[1])
    return paths
