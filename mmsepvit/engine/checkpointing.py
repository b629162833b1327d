"""``activation_checkpointing`` of a config: modules that keep no activations, and compute them again for backward.

mmengine uses PyTorch's reentrant form, in which a module whose input needs no gradient gets no gradient itself. The
backbone is such a module, since its input is the images: nothing of it would be trained, without a word.
"""

from __future__ import annotations

from operator import attrgetter
from types import MethodType
from typing import Any

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..config_tree import as_list, builds, named_nodes
from ..errors import UserError
from ..models import SepViT


def prefer_with_cp(config: Config) -> list[str]:
    """Gives every SepViT inside the modules that are to be checkpointed its own ``with_cp`` instead.

    Args:
        config: The config, changed in place; the modules that hold no SepViT as a whole stay on its list.

    Returns:
        Notes for the log.
    """
    notes, others = [], []
    for path in as_list(config.get('activation_checkpointing')):
        backbones = [
            (where, node)
            for where, node in named_nodes(config.model, 'model')
            if f'{where}.'.startswith(f'model.{path}.') and builds(node, SepViT, config.get('default_scope'), MODELS)
        ]
        for where, node in backbones:
            node['with_cp'] = True
            notes.append(f"activation_checkpointing: {where}.with_cp=True takes the place of '{path}'")
        others += [] if backbones else [path]
    if notes:
        config.activation_checkpointing = others
    return notes


def checkpoint_activations(runner: Runner) -> None:
    """Checkpoints the modules on a config's list in the form that is not reentrant.

    Args:
        runner: The runner. Its config loses the list, so that mmengine does nothing more.

    Raises:
        UserError: The model has no such module, or one that is never called.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for path in as_list(runner.cfg.get('activation_checkpointing')):
        try:
            module = attrgetter(path)(model)
        except AttributeError:
            raise UserError(f"activation_checkpointing: the model has no module '{path}'.") from None
        if type(module).forward is nn.Module.forward:
            raise UserError(f"activation_checkpointing: '{path}' is a list of modules, never called; name its members.")
        module.forward = MethodType(_checkpointed, module)  # bound, so that a copy (of EMA, say) gets its own
    runner.cfg.activation_checkpointing = None


def _checkpointed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(type(module).forward, module, *args, use_reentrant=False, **kwargs)
