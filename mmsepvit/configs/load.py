"""Loading config files, and overriding single keys of them from the command line."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..errors import UserError, did_you_mean
from .sources import config_path

PACKAGES = ('mmseg', 'mmdet', 'mmpretrain')
"""Packages that a config's ``default_scope`` may name."""

# Keys that are read out of a config by no signature. '*' stands for any key, None for any subtree.
_CLIP_GRAD = dict.fromkeys(('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value'))
_PARAMWISE = {
    **dict.fromkeys(
        (
            'bias_lr_mult',
            'bias_decay_mult',
            'norm_decay_mult',
            'flat_decay_mult',
            'dwconv_decay_mult',
            'dcn_offset_lr_mult',
            'bypass_duplicate',
            'decay_rate',
            'decay_type',
            'layer_decay_rate',
            'num_layers',
        )
    ),
    'custom_keys': {'*': dict.fromkeys(('lr_mult', 'decay_mult'))},
}
_DATALOADER_EXTRAS = (
    'dataset',
    'sampler',
    'batch_sampler',
    'collate_fn',
    'worker_init_fn',
    'num_batch_per_epoch',
    'disable_subprocess_warning',
)
_TEST_SETTINGS = (
    'mode',
    'crop_size',
    'stride',
    'score_thr',
    'nms',
    'nms_pre',
    'max_per_img',
    'min_bbox_size',
    'mask_thr_binary',
    'multi_label',
)
_TOP_LEVEL_EXTRAS = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
_ANYWHERE = ('type', '_scope_', '_delete_')


def _parameters(function: Any) -> dict[str, None]:
    return dict.fromkeys(name for name in inspect.signature(function).parameters if name != 'self')


def _schema(config: Config) -> dict[str, Any]:
    """Nested names of what mmengine reads from a config without a ``type`` beside it."""
    loop_type = (config.get('train_cfg') or {}).get('type')
    dataloader = dict.fromkeys([*_parameters(DataLoader.__init__), *_DATALOADER_EXTRAS])
    schema: dict[str, Any] = {**_parameters(Runner.__init__), **dict.fromkeys(_TOP_LEVEL_EXTRAS)}
    schema.update(
        {f'{split}_dataloader': dataloader for split in ('train', 'val', 'test')},
        randomness=_parameters(Runner.set_randomness),
        compile=dict.fromkeys(('fullgraph', 'dynamic', 'backend', 'mode', 'options', 'disable')),
        auto_scale_lr=dict.fromkeys(('enable', 'base_batch_size')),
        env_cfg={
            'cudnn_benchmark': None,
            'resource_limit': None,
            'mp_cfg': dict.fromkeys(('mp_start_method', 'opencv_num_threads')),
            'dist_cfg': dict.fromkeys(('backend', 'timeout', 'init_backend', 'port')),
        },
        optim_wrapper={'constructor': None, 'paramwise_cfg': _PARAMWISE, 'clip_grad': _CLIP_GRAD},
        # Without a type, by_epoch chooses the loop.
        train_cfg={}
        if loop_type
        else dict.fromkeys(('by_epoch', 'max_epochs', 'max_iters', 'val_begin', 'val_interval')),
        val_cfg={'fp16': None},
        test_cfg={'fp16': None},
        default_hooks=dict.fromkeys(
            (
                'runtime_info',
                'timer',
                'sampler_seed',
                'logger',
                'param_scheduler',
                'checkpoint',
                'visualization',
            )
        ),
    )
    return schema


def config_folder() -> Path | None:
    """Folder of the project's config files: of the repository, or of an installed wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / 'configs', package / '.mim' / 'configs'):
        if folder.is_dir():
            return folder
    return None


def load_config(path: str) -> Config:
    """Reads a config file.

    Args:
        path: Path of the file, relative to the current folder, or of one that a package ships, such as
            'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py'.

    Returns:
        The config, its ``default_scope`` one of mmseg, mmdet and mmpretrain.

    Raises:
        UserError: The file is missing, cannot be read or names no known package.
    """
    file = config_path(path) if '::' in path else Path(path)
    if not file.is_file():
        what = 'is a folder, not a config file' if file.is_dir() else 'does not exist'
        raise UserError(f"config '{path}' {what}.{_suggest_config(file)}")
    try:
        config = Config.fromfile(file)
    except FileNotFoundError as error:
        raise UserError(f"config '{path}' inherits from a file that does not exist: {error}") from None
    except SyntaxError as error:
        raise UserError(f"config '{path}' is no valid Python: {error}") from None
    except (OSError, KeyError, TypeError, NameError) as error:
        raise UserError(f"config '{path}' cannot be read: {error}") from None
    scope = config.get('default_scope')
    if scope not in PACKAGES:
        raise UserError(
            f"config '{path}' has default_scope={scope!r}; it must be one of {', '.join(PACKAGES)}, "
            'which says whose datasets, pipelines and heads the config means.'
        )
    return config


def _suggest_config(path: Path) -> str:
    folders = [path, path.parent, config_folder()]
    candidates = {
        file.stem: file
        for folder in folders
        if folder is not None and folder.is_dir()
        for file in sorted(folder.glob('*.py'))
        if not file.name.startswith('_')
    }
    if path.stem in candidates:
        return f' Did you mean {candidates[path.stem]}?'
    hint = did_you_mean(path.stem, candidates)
    folder = config_folder()
    return hint or (f' The config files of this project are in {folder}.' if folder else '')


def apply_options(config: Config, options: Mapping[str, Any] | None) -> list[str]:
    """Merges ``--cfg-options`` into a config, refusing keys that nothing would read.

    Args:
        config: The config, changed in place.
        options: Dotted key (list indices are digits) to value.

    Returns:
        Notes for the log: keys that are there, but whose value was used before they changed.

    Raises:
        UserError: A key is misspelt, an index is out of range, or a group would become a number.
    """
    notes = []
    # A new type decides which other keys there may be, so it goes first.
    ordered = sorted((options or {}).items(), key=lambda item: item[0].rpartition('.')[2] != 'type')
    for key, value in ordered:
        _check_key(config, key, value)
        _open_groups(config, key)
        config.merge_from_dict({key: value})
        top = key.split('.')[0]
        if top not in _schema(config):
            notes.append(
                f'--cfg-options {key}: {top} only helped to write the config file, so nothing reads '
                'it any more; set the keys that were made from it.'
            )
    return notes


def _open_groups(config: Config, key: str) -> None:
    """Makes dicts of the groups on the way to ``key`` that are missing or None, for merging."""
    node: Any = config._cfg_dict
    for part in key.split('.')[:-1]:
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
            continue
        if node.get(part) is None or isinstance(node.get(part), bool):
            node[part] = ConfigDict()
        node = node[part]


def _check_key(config: Config, key: str, value: Any) -> None:
    node: Any = config._cfg_dict
    schema: Any = _schema(config)
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(
                    f"--cfg-options {key}: '{where}' is a list of {len(node)}, so an index from 0 to "
                    f"{len(node) - 1} must stand where '{part}' is."
                )
            node, schema = node[int(part)], None
            continue
        known = node if isinstance(node, Mapping) else {}
        if node is not None and not isinstance(node, (Mapping, bool)):
            raise UserError(f"--cfg-options {key}: '{where}' is {node!r}, which has no parts.")
        if part not in known and not _is_allowed(part, known, schema, where, config):
            names = _known_names(known, schema, where, config)
            place = f" in '{where}'" if where else ''
            raise UserError(f"--cfg-options {key}: there is no key '{part}'{place}.{did_you_mean(part, names)}")
        schema = schema.get(part, schema.get('*')) if isinstance(schema, Mapping) else None
        if part in known:
            node = known[part]
        elif schema is None:
            return  # a new argument of a class: what is inside it is between the two
        else:
            node = None
    if isinstance(node, Mapping) and node and not (value is None or isinstance(value, Mapping)):
        inner = ', '.join(list(node)[:4])
        raise UserError(
            f'--cfg-options {key}={value}: this is a group of settings; name one of them, '
            f'for example {key}.{next(iter(node))} (it has {inner}).'
        )


def _is_allowed(part: str, known: Mapping, schema: Any, where: str, config: Config) -> bool:
    if part in _ANYWHERE:
        return bool(where)
    if isinstance(schema, Mapping) and (part in schema or '*' in schema):
        return True
    if part in _place_names(where):
        return True
    classes = _classes(known.get('type'), config)
    if any(part in arguments(cls)[0] for cls in classes):
        return True
    # A class that keeps unnamed arguments for itself may know the key; a slip of the pen it is not.
    names = _known_names(known, schema, where, config)
    return any(arguments(cls)[1] for cls in classes) and not did_you_mean(part, names)


def _place_names(where: str) -> Iterable[str]:
    """Keys known from where a dict stands, for dicts that no class reads by signature."""
    last = where.rpartition('.')[2]
    if last in ('test_cfg', 'rcnn', 'rpn', 'rpn_proposal') and where.startswith('model.'):
        return _TEST_SETTINGS
    if where.startswith(('default_hooks.', 'custom_hooks.')):
        return ('priority',)
    if where.startswith('param_scheduler'):
        return ('convert_to_iter_based',)
    if where == 'model' or where.endswith('.module'):
        return ('data_preprocessor', 'init_cfg', 'train_cfg', 'test_cfg')
    return ()


def _known_names(known: Mapping, schema: Any, where: str, config: Config) -> list[str]:
    names = [str(name) for name in known]
    names += [name for name in schema if name != '*'] if isinstance(schema, Mapping) else []
    names += _place_names(where)
    for cls in _classes(known.get('type'), config):
        names += sorted(arguments(cls)[0])
    return list(dict.fromkeys(names))


def _classes(type_name: Any, config: Config) -> list[Any]:
    """Everything that ``type`` may stand for: the config does not say in which registry."""
    if type_name is None:
        return []
    if not isinstance(type_name, str):
        return [type_name]
    scope = config.get('default_scope')
    found = []
    with DefaultScope.overwrite_default_scope(scope):
        modules = [import_module(f'{scope}.registry')] if scope in PACKAGES else []
        for module in (*modules, import_module('mmengine.registry')):
            for registry in vars(module).values():
                if isinstance(registry, Registry):
                    cls = registry.get(type_name)
                    if cls is not None and cls not in found:
                        found.append(cls)
    return found


def arguments(cls: Any) -> tuple[set[str], bool]:
    """Names that a class (or function) takes, through the ``**kwargs`` of its bases.

    Args:
        cls: The class.

    Returns:
        The names, and whether some class takes further ones without passing them on to a base.
    """
    names: set[str] = set()
    callables = (
        [base.__init__ for base in cls.__mro__ if '__init__' in vars(base) and base is not object]
        if inspect.isclass(cls)
        else [cls]
    )
    for function in callables:
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C: nothing is known
            return names, True
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names |= {p.name for p in parameters if p.kind in named and p.name != 'self'}
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            return names, False
    return names, True
