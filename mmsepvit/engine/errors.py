"""Mistakes of the caller, told in a few lines instead of a traceback."""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

EXIT_USER_ERROR = 2

# torchrun ends all processes when one has ended; the one that speaks must come to it.
_GRACE = 5.0


class UserError(Exception):
    """Something the person at the command line can put right.

    The message has one to three lines: what is wrong, naming the file or option, and what to do.
    Every other exception is a defect of the program and keeps its traceback.
    """


def launched_rank() -> int:
    """Rank of this process as its launcher tells it, 0 without a launcher."""
    for variable in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if os.environ.get(variable, '').isdigit():
            return int(os.environ[variable])
    return 0


def run_command(command: Callable[[list[str]], Any], argv: list[str] | None = None) -> int:
    """Runs a command line's main function and turns a :class:`UserError` into message and code.

    Args:
        command: Takes the arguments after the program's name.
        argv: These arguments. Defaults to the process's.

    Returns:
        The exit code: 2 for a mistake of the caller, else the function's if it returns one, else 0.
    """
    try:
        result = command(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        # All ranks of a distributed run make the same mistake; one of them says so.
        if launched_rank() > 0:
            time.sleep(_GRACE)
        else:
            print(f'error: {error}', file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    return result if isinstance(result, int) else 0


def did_you_mean(word: str, known: Iterable[str], count: int = 3) -> str:
    """``' Did you mean x or y?'`` for words near to ``word``, an empty string where none is."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=count, cutoff=0.6)
    return f' Did you mean {" or ".join(close)}?' if close else ''
