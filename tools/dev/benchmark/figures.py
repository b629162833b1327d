"""Exact costs of a model, the same in every run: bytes kept and copied, operators, graph breaks. No clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

# Operators that move numbers and compute none. Each is counted where it really runs: a `contiguous` or `reshape`
# that has nothing to do is a view, and one that copies shows as the `clone` or `copy_` that it calls.
_COPIES = {
    'aten::cat',
    'aten::clone',
    'aten::constant_pad_nd',
    'aten::copy_',
    'aten::gather',
    'aten::im2col',
    'aten::index',
    'aten::index_select',
    'aten::roll',
    'aten::stack',
    'aten::_to_copy',
}
_ALLOCATIONS = {f'aten::{name}' for name in ('empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided')}


@dataclass(frozen=True)
class Figures:
    """Exact costs of one forward pass.

    Attributes:
        saved_bytes: What autograd keeps for the backward pass, see `saved_bytes`.
        copied_bytes: What layout operations write, see `operators`.
        copies: How many operators do so.
        operators: How many operators run, views and allocations not counted.
    """

    saved_bytes: int
    copied_bytes: int
    copies: int
    operators: int

    def as_dict(self) -> dict[str, int]:
        """The fields as plain numbers."""
        return asdict(self)


def saved_bytes(model: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes that autograd keeps between the forward pass ``run`` and its backward pass.

    Every storage counts once and in full, as it is kept, whatever number of tensors look into it. Parameters and
    buffers of ``model`` stay anyway and are left out.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, int] = {}
    kept = []  # what `run` returns and saves stays alive: a freed address could come up a second time

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept.append(run())
    return sum(storages.values())


class OperatorCounter(TorchDispatchMode):
    """Counts the operators that run under it, and the bytes that copying ones write.

    Attributes:
        calls: Number of calls by operator, such as 'aten::addmm'. Views and allocations are left out.
        copied: Bytes written by operator, of those that copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        if not _is_view_or_allocation(func):
            self.calls[name] += 1
        if name in _COPIES:
            self.copied[name] += sum(
                _nbytes(tensor) for tensor in tree_flatten(result)[0] if isinstance(tensor, Tensor)
            )
        return result


def _nbytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _is_view_or_allocation(func: Any) -> bool:
    if func._schema.name in _ALLOCATIONS:
        return True
    aliases = [result.alias_info for result in func._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


def count_operators(run: Callable[[], Any]) -> OperatorCounter:
    """The operators that ``run`` calls."""
    with OperatorCounter() as counter:
        run()
    return counter


def figures(model: nn.Module, images: Tensor) -> Figures:
    """The exact costs of ``model(images)``: what training keeps, and what inference runs."""
    saved = saved_bytes(model, lambda: model(images))
    with torch.no_grad():
        counter = count_operators(lambda: model(images))
    return Figures(saved, sum(counter.copied.values()), _copies(counter.calls), sum(counter.calls.values()))


def _copies(calls: Counter[str]) -> int:
    return sum(count for name, count in calls.items() if name in _COPIES)


def graph_breaks(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Breaks between the graphs into which ``torch.compile`` cuts the model, the sum over batches; 0 is one graph."""
    breaks = 0
    for images in batches:
        torch._dynamo.reset()
        breaks += torch._dynamo.explain(model)(images).graph_break_count
    return breaks
