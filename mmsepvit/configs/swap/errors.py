"""What a swap that cannot be made says."""

from __future__ import annotations

from ...errors import UserError


class SwapError(UserError, ValueError):
    """The config cannot be swapped as it is: it has no model, no such path, or cannot be read.

    The message has one to three lines: what is wrong and what to do.
    """


class SwapRefused(SwapError):  # noqa: N818  (a refusal is an answer about the algorithm, not a slip of the caller)
    """The algorithm has no place for another backbone; the message says why."""
