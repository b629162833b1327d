"""What all command lines share: the parser, its common options, and how a mistake of the caller is told."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mmengine.config import DictAction
from torch import distributed

from ..configs.constructors import explain
from ..errors import UserError, is_loss_of_a_process

EXIT_USER_ERROR = 2

# torchrun ends all processes when one has ended; the one that speaks must come to it.
_GRACE = 5.0

# One that has lost another is ended by torchrun before it speaks, if that one has said why and come to its end.
_GRACE_OF_THE_OTHER = 30.0


class Parser(argparse.ArgumentParser):
    """Says what is wrong in a line or two, without the whole usage.

    Args:
        program: Name of the tool, such as 'train.py'.
        description: What it does.
        epilog: What stands below the options in its help. Defaults to nothing.
    """

    def __init__(self, program: str, description: str, epilog: str | None = None) -> None:
        super().__init__(prog=program, description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if launched_rank() == 0:
            self._print_message(f'error: {message}\n{self.prog} --help lists the options.\n', sys.stderr)
        raise SystemExit(EXIT_USER_ERROR)


class OptionsAction(DictAction):
    """``--cfg-options KEY=VALUE ...``; mmengine's own, with a message where there is no ``=``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        for pair in values or ():
            key, equals, value = pair.partition('=')
            if not equals or not all(key.split('.')):
                parser.error(f"{option_string} takes KEY=VALUE pairs, got '{pair}'")
            if re.search(r'(^|[\[(,])\s*(dict\(|\{)', value):
                parser.error(f'{option_string} {pair}: no dicts here; name each key of it, as in {key}.type=VALUE')
            try:
                super().__call__(parser, namespace, [pair], option_string)
            except (AssertionError, RecursionError):  # of brackets without their partner, or not around the whole
                parser.error(f"{option_string} {pair}: the value's brackets cannot be read; write [1,2] or (1,2)")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override keys of the config, e.g. train_dataloader.batch_size=4 '
        'model.backbone.with_cp=True param_scheduler.0.end=100',
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds ``--trust``."""
    parser.add_argument(
        '--trust',
        action='store_true',
        help='read objects of any class from a .pth file, which runs code of the file: for files of your own alone',
    )


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """A ``type`` for `argparse`: whole numbers from ``least`` on, up to ``most`` if there is such a bound."""

    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f'{text} is more than {most}')
        return value

    parse.__name__ = 'number'  # argparse names it where the text is none
    return parse


def launched_rank() -> int:
    """Rank of this process as its launcher tells it, 0 without a launcher."""
    for variable in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if os.environ.get(variable, '').isdigit():
            return int(os.environ[variable])
    return 0


def run_command(command: Callable[[list[str]], Any], argv: list[str] | None = None) -> int:
    """Runs a command line's main function, and turns what the caller did wrong into message and code.

    That is a :class:`UserError`, or an argument of the config that the class it is meant for refuses.

    Args:
        command: Takes the arguments after the program's name.
        argv: These arguments. Defaults to the process's.

    Returns:
        The exit code: 2 for a mistake of the caller, else the function's if it returns one, else 0.
    """
    try:
        result = command(sys.argv[1:] if argv is None else argv)
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else explain(error)
        if message is None and is_loss_of_a_process(error):
            time.sleep(_GRACE_OF_THE_OTHER)
            print(
                f'error: process {launched_rank()} has lost another process, or waited too long for it '
                f'({str(error).splitlines()[0][:200]})',
                file=sys.stderr,
                flush=True,
            )
            return EXIT_USER_ERROR  # by which tools/launch.py knows that it is said
        if message is None:
            raise
        # Where all ranks of a distributed run make the same mistake, one of them says so.
        if getattr(error, 'every_rank', True) and launched_rank() > 0:
            time.sleep(_GRACE)
        else:
            print(f'error: {message}', file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if distributed.is_available() and distributed.is_initialized():
        # Its threads must not outlive Python: C++ ends a process whose threads nobody has joined by SIGABRT.
        distributed.destroy_process_group()
    return result if isinstance(result, int) else 0
