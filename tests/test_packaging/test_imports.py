"""The folders of the package import each other in one direction."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / 'mmsepvit'
# Each may import from those behind it, and from its own folder.
ORDER = (
    *('cli', 'web', 'visualize', 'configs', 'engine', 'evaluation', 'datasets', 'checkpoints', 'models'),
    *('export', 'config_tree', 'registry', 'errors'),
)
SHARED = ('version', 'utils')
FRONT = ('__init__',)  # what a user imports: from anywhere inside
FILES = sorted(PACKAGE.rglob('*.py'))


def imports(file: Path) -> Iterator[str]:
    """Dotted names inside the package that a file imports, wherever in the file."""
    package = file.relative_to(PACKAGE.parent).with_suffix('').parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)


def test_the_folders_are_all_known() -> None:
    found = {file.relative_to(PACKAGE).with_suffix('').parts[0] for file in FILES}
    assert found <= {*ORDER, *SHARED, *FRONT}


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    own = file.relative_to(PACKAGE).with_suffix('').parts[0]
    if own in FRONT:
        return
    below = {own, *SHARED, *(ORDER[ORDER.index(own) :] if own in ORDER else ())}
    for name in imports(file):
        head, _, rest = name.partition('.')
        assert head not in ('tests', 'tools', 'dev'), f'{file.name} imports {name}'
        if head == 'mmsepvit':
            assert rest.split('.')[0] in below, f'{file.name} imports {name}'
