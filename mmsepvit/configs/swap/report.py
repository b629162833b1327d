"""What a swap changed, for people to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from .price import Price

MISSING = '(not there)'


@dataclass
class SwapReport:
    """A swapped config and what was done to it.

    Attributes:
        config: The new config.
        name: What the new backbone is called.
        backbones: Dotted paths of the backbones that it took the place of.
        changes: Path, old value and new value of all that differs.
        notes: What a reader should know beyond the values.
        price: What it costs; None where it was not, or could not be, counted.
    """

    config: Config
    name: str
    backbones: list[str]
    changes: list[tuple[str, Any, Any]]
    notes: list[str] = field(default_factory=list)
    price: Price | None = None

    def __str__(self) -> str:
        lines = [f'{self.name} stands at {", ".join(self.backbones)}']
        for path, old, new in self.changes:
            lines += [f'  {path}', f'    - {shorten(old)}', f'    + {shorten(new)}']
        return '\n'.join([*lines, *self.remarks()])

    def remarks(self) -> list[str]:
        """The price and the notes, a line each."""
        price = [f'price: {self.price}'] if self.price else []
        return [*price, *(f'note: {note}' for note in self.notes)]


def shorten(value: Any, width: int = 110) -> str:
    """``repr`` of a value, cut where it is long."""
    text = value if value is MISSING else repr(value)
    return text if len(text) <= width else f'{text[: width - 2]} …'


def differences(old: Any, new: Any, path: str = '', whole: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, Any]]:
    """Yields path, old and new value wherever two configs differ.

    Args:
        old: The old config, plain dicts and lists.
        new: The new one.
        path: Path of both. Defaults to the top.
        whole: Paths whose values are given as a whole.
    """
    if old == new and isinstance(old, (list, tuple)) == isinstance(new, (list, tuple)):
        return
    if isinstance(old, dict) and isinstance(new, dict) and path not in whole:
        for key in [*old, *(k for k in new if k not in old)]:
            below = f'{path}.{key}' if path else str(key)
            yield from differences(old.get(key, MISSING), new.get(key, MISSING), below, whole)
    elif (
        isinstance(old, (list, tuple))
        and isinstance(new, (list, tuple))
        and len(old) == len(new)
        and any(isinstance(v, dict) for v in old)
    ):
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(a, b, f'{path}.{i}', whole)
    else:
        yield path, old, new
