"""``activation_checkpointing`` of a config: modules that keep no activations, and compute them again for backward."""

from __future__ import annotations

from operator import attrgetter
from types import MethodType
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from ..models import SepViT


def checkpoint_activations(runner: Runner) -> None:
    """Does for a runner's model what mmengine does with ``activation_checkpointing``, in a way that trains.

    mmengine uses PyTorch's reentrant form, in which a module whose input needs no gradient gets no gradient itself.
    The backbone is such a module, since its input is the images. SepViT recomputes its own parts (``with_cp``) instead;
    all other modules are called through the form that is not reentrant.

    Args:
        runner: The runner. Its config loses the key, so that mmengine does not do it again.

    Raises:
        UserError: The model has no such module, or one that is never called.
    """
    paths = runner.cfg.get('activation_checkpointing')
    if not paths:
        return
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    for path in [paths] if isinstance(paths, str) else paths:
        try:
            module = attrgetter(path)(model)
        except AttributeError:
            raise UserError(f"activation_checkpointing: the model has no module '{path}'.") from None
        backbones = [part for part in module.modules() if isinstance(part, SepViT)]
        for backbone in backbones:
            backbone.with_cp = True
        if backbones:
            runner.logger.info(f"activation_checkpointing: with_cp=True of the SepViT in '{path}' takes its place")
        elif type(module).forward is nn.Module.forward:
            raise UserError(
                f"activation_checkpointing: '{path}' is a list of modules and not called; name its members."
            )
        else:
            module.forward = MethodType(_checkpointed, module)  # bound, so that a copy (of EMA, say) gets its own
    runner.cfg.activation_checkpointing = None


def _checkpointed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(type(module).forward, module, *args, use_reentrant=False, **kwargs)
