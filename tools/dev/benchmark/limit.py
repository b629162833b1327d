"""A model's own arithmetic limit: its matrix products, convolutions and attention calls, each timed alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from .clock import Clock

_KINDS = {
    'addmm': 'linear',
    'mm': 'linear',
    'linear': 'linear',
    'linear_backward': 'linear',
    'bmm': 'bmm',
    'baddbmm': 'bmm',
    'convolution': 'convolution',
    'convolution_backward': 'convolution',
}


@dataclass
class Limit:
    """What the arithmetic of a run costs by itself.

    Attributes:
        seconds: By kind: 'linear', 'convolution', 'attention' (fused kernels), 'bmm' (other products of activations;
            in SepViT these are PSA's, which grow with the square of the number of windows).
        calls: Number of calls by kind.
    """

    seconds: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> float:
        """The limit in seconds."""
        return sum(self.seconds.values())


class _Recorder(TorchDispatchMode):
    """Runs each operator, and each arithmetic one of a new signature once more, by the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.limit = Limit()
        self.known: dict[Any, float] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func._schema.name.rpartition('::')[2]
        kind = 'attention' if 'scaled_dot_product' in name else _KINDS.get(name)
        if kind is not None:
            signature = func, repr(tree_map(_signature, (args, kwargs)))
            if signature not in self.known:
                self.known[signature] = self.clock.seconds(lambda: func(*args, **kwargs), repeats=self.clock.op_repeats)
            self.limit.seconds[kind] += self.known[signature]  # type: ignore[assignment]
            self.limit.calls[kind] += 1
        return result


def _signature(value: Any) -> Any:
    return (tuple(value.shape), value.stride(), value.dtype) if isinstance(value, Tensor) else value


def arithmetic_limit(run: Callable[[], Any], clock: Clock) -> Limit:
    """Runs a function and times its arithmetic alone, on the very tensors that it computes with.

    Args:
        run: What to run; its backward pass, if it does one, is recorded as well.
        clock: The clock of the device.

    Returns:
        The limit: every call counts the time of its first one with the same shapes, strides and types.
    """
    with _Recorder(clock) as recorder:
        run()
    return recorder.limit
