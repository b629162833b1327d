"""The one exception for what a person at the command line, or the caller of a function, did wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(Exception):
    """Something the caller can put right.

    The message has one to three lines: what is wrong, naming the file or option, and what to do.
    Every other exception is a defect of the program and keeps its traceback.

    Attributes:
        every_rank: Whether all processes of a distributed run make the same mistake, so that one of them may speak for
            all.
    """

    every_rank = True


def did_you_mean(word: str, known: Iterable[str], count: int = 3) -> str:
    """``' Did you mean x or y?'`` for words near to ``word``, an empty string where none is."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=count, cutoff=0.6)
    return f' Did you mean {" or ".join(close)}?' if close else ''


def is_loss_of_a_process(error: BaseException) -> bool:
    """Whether an error of a distributed run is nothing but the end or silence of another process.

    Args:
        error: What gloo or NCCL has raised; neither has a class for it on all versions of torch.
    """
    told = re.search(r'\bgloo\b|Connection closed by peer|Connection reset by peer', str(error))
    return isinstance(error, RuntimeError) and (type(error).__name__ == 'DistBackendError' or told is not None)
