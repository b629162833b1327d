"""Finding the backbones of a model, and what stands behind each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...config_tree import as_list
from .classes import type_name
from .errors import SwapError, SwapRefused

_BACKBONE_KEYS = ('backbone', 'image_encoder')
# A model may have further backbones under a prefix, each with a neck under the same one: teachers of distillation, and
# the image branch of a detector that reads points too.
_PREFIXES = ('', 'img_', 'teacher_')
_NOT_CONSUMERS = ('data_preprocessor', 'train_cfg', 'test_cfg', 'init_cfg')


@dataclass
class Site:
    """One backbone in a model.

    Attributes:
        path: Dotted path of the model that owns it, from the config's top: 'model', 'model.detector', ...
        owner: That model's dict.
        key: Key of the backbone in the owner; under 'image_encoder' it may be a list, backbone first, then necks.
        prefix: What stands before 'backbone' in the key, and before 'neck' in that of its neck.
    """

    path: str
    owner: dict
    key: str = 'backbone'
    prefix: str = ''

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
    def neck_key(self) -> str:
        """Key of the neck in the owner."""
        return f'{self.prefix}neck'

    @property
    def necks(self) -> list[dict]:
        """Configs of the necks, in the order of the data."""
        value = self.owner[self.key]
        return list(value[1:]) if isinstance(value, (list, tuple)) else as_list(self.owner.get(self.neck_key))

    def put(self, backbone: dict, necks: list[dict]) -> None:
        """Replaces backbone and necks, in the form in which they stood."""
        if isinstance(self.owner[self.key], (list, tuple)):
            self.owner[self.key] = [backbone, *necks]
            return
        self.owner[self.key] = backbone
        was_list = isinstance(self.owner.get(self.neck_key), (list, tuple))
        if necks:
            self.owner[self.neck_key] = necks if was_list or len(necks) > 1 else necks[0]
        elif self.neck_key in self.owner:
            self.owner[self.neck_key] = None  # some models must be told that there is none

    def consumers(self) -> Iterator[tuple[str, dict]]:
        """Path and config of all that reads what the last neck, or else the backbone, puts out."""
        others = {f'{prefix}{part}' for prefix in _PREFIXES for part in ('backbone', 'neck')}
        for key, value in self.owner.items():
            if key in others or key == self.key or key in _NOT_CONSUMERS:
                continue
            if key.startswith('teacher') != (self.prefix == 'teacher_'):
                continue
            for i, node in enumerate(as_list(value)):
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
        SwapRefused: There is none.
        SwapError: There is none at ``path``.
    """
    sites = list(_walk(model, 'model', swap_teachers or path is not None))
    if path is None:
        if not sites:
            raise SwapRefused(f'the model {type_name(model) or "of the config"} has no backbone that reads images')
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
        prefix = next((p for p in _PREFIXES if any(key == f'{p}{name}' for name in _BACKBONE_KEYS)), None)
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if prefix is not None and isinstance(first, dict) and first.get('type') is not None:
            yield Site(path, node, key, prefix)
        elif not key.endswith('neck'):  # a backbone inside a neck (RFP) is that neck's own
            yield from _walk(value, f'{path}.{key}', teachers)
