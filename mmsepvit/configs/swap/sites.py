"""Finding the backbones of a model, and what stands behind each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import SwapError

BACKBONE_KEYS = ('backbone', 'image_encoder')
_NOT_CONSUMERS = ('backbone', 'neck', 'data_preprocessor', 'train_cfg', 'test_cfg', 'init_cfg')


def type_name(node: Any) -> str:
    """Bare class name of a config node's ``type`` ('' for none), without scope or module."""
    kind = node.get('type') if isinstance(node, dict) else None
    if kind is None:
        return ''
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


@dataclass
class Site:
    """One backbone in a model.

    Attributes:
        path: Dotted path of the model that owns it, from the config's top: 'model', 'model.detector', ...
        owner: That model's dict.
        key: Key of the backbone in the owner; under 'image_encoder' it may be a list, backbone first, then necks.
    """

    path: str
    owner: dict
    key: str = 'backbone'

    @property
    def backbone(self) -> dict:
        """The backbone's config."""
        value = self.owner[self.key]
        return value[0] if isinstance(value, (list, tuple)) else value

    @property
    def backbone_path(self) -> str:
        """Dotted path of the backbone's config."""
        return f'{self.path}.{self.key}' + ('.0' if isinstance(self.owner[self.key], (list, tuple)) else '')

    @property
    def necks(self) -> list[dict]:
        """Configs of the necks, in the order of the data."""
        value = self.owner[self.key]
        if isinstance(value, (list, tuple)):
            return list(value[1:])
        neck = self.owner.get('neck')
        if neck is None:
            return []
        return list(neck) if isinstance(neck, (list, tuple)) else [neck]

    def put(self, backbone: dict, necks: list[dict]) -> None:
        """Replaces backbone and necks, in the form in which they stood."""
        if isinstance(self.owner[self.key], (list, tuple)):
            self.owner[self.key] = [backbone, *necks]
            return
        self.owner[self.key] = backbone
        if not necks:
            if 'neck' in self.owner:
                self.owner['neck'] = None  # some models must be told that there is none
        elif len(necks) > 1 or isinstance(self.owner.get('neck'), (list, tuple)):
            self.owner['neck'] = necks
        else:
            self.owner['neck'] = necks[0]

    def consumers(self) -> Iterator[tuple[str, dict]]:
        """Path and config of all that reads what the last neck, or else the backbone, puts out."""
        for key, value in self.owner.items():
            if key in _NOT_CONSUMERS or key == self.key or key.startswith('teacher'):
                continue
            nodes = value if isinstance(value, (list, tuple)) else [value]
            for i, node in enumerate(nodes):
                if isinstance(node, dict):
                    yield f'{self.path}.{key}' + (f'.{i}' if isinstance(value, (list, tuple)) else ''), node


def find_sites(model: dict, swap_teachers: bool = False, path: str | None = None) -> list[Site]:
    """Finds the backbones that belong to the trained model.

    Args:
        model: The ``model`` of a config.
        swap_teachers: Whether backbones under ``teacher…`` keys count too. Defaults to False.
        path: Dotted path of the one backbone that is meant, from the config's top, such as
            'model.detector.backbone'. Defaults to None, all.

    Raises:
        SwapError: There is none, or none at ``path``.
    """
    sites = list(_walk(model, 'model', swap_teachers or path is not None))
    if path is None:
        if not sites:
            raise SwapError(f'the model {type_name(model) or "of the config"} has no backbone')
        return sites
    wanted = path if path.startswith('model.') or path == 'model' else f'model.{path}'
    chosen = [site for site in sites if wanted in (site.path, f'{site.path}.{site.key}', site.backbone_path)]
    if not chosen:
        known = ', '.join(site.backbone_path for site in sites) or 'none'
        raise SwapError(f"path='{path}': there is no backbone there; the model has {known}")
    return chosen


def _walk(node: Any, path: str, teachers: bool) -> Iterator[Site]:
    if isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _walk(child, f'{path}.{i}', teachers)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key.startswith('teacher') and not teachers:
            continue
        plain = key[len('teacher_') :] if key.startswith('teacher_') else key
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if plain in BACKBONE_KEYS and isinstance(first, dict) and first.get('type') is not None:
            if key != plain:
                yield Site(path, _teacher_view(node), plain)
            else:
                yield Site(path, node, key)
        elif plain != 'neck':  # a backbone inside a neck (RFP) is that neck's own
            yield from _walk(value, f'{path}.{key}', teachers)


class _TeacherView(dict):
    """A model's ``teacher_…`` keys without that prefix; what is put here reaches the model."""

    def __init__(self, model: dict) -> None:
        super().__init__({k[len('teacher_') :]: v for k, v in model.items() if k.startswith('teacher_')})
        self.model = model

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.model[f'teacher_{key}'] = value

    def pop(self, key: str, *default: Any) -> Any:
        self.model.pop(f'teacher_{key}', None)
        return super().pop(key, *default)


def _teacher_view(model: dict) -> _TeacherView:
    return _TeacherView(model)
