"""The ``mmsepvit`` scope: what lets a config say ``type='mmsepvit.SepViT'`` with no ``custom_imports``.

mmengine imports ``<scope>.registry`` for a scope it does not know and then the ``locations`` of the registry that it
finds there, so nothing else has to be imported by the user.
"""

from __future__ import annotations

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import Registry

SCOPE = 'mmsepvit'

MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['mmsepvit.models'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['mmsepvit.engine'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope=SCOPE, locations=['mmsepvit.evaluation'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope=SCOPE, locations=['mmsepvit.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope=SCOPE,
    locations=['mmsepvit.engine'],
)
