"""The figures measured so far: a row a run in a small JSON file, which is committed; what is there is not run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[3] / 'docs' / 'weights.json'


def rows() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text(encoding='utf-8')) if FILE.exists() else []


def is_there(key: dict[str, Any]) -> bool:
    return any(row.items() >= key.items() for row in rows())


def add(key: dict[str, Any], **values: Any) -> None:
    """Adds a row, and shows it."""
    row = {**key, **values}
    lines = [json.dumps(other) for other in [*rows(), row]]
    FILE.write_text('[\n' + ',\n'.join(lines) + '\n]\n', encoding='utf-8')
    print(json.dumps(row), flush=True)
