"""What every tool begins with: finds the package, says what is missing, runs the tool's command line."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

EXIT_USER_ERROR = 2
"""Exit code for what the caller can put right, of every tool."""


def run(module: str) -> None:
    """Runs ``main(argv)`` of a module and ends the process with its exit code.

    Args:
        module: Name of the module, such as 'mmsepvit.cli.train'.
    """
    root = Path(__file__).resolve().parents[1]
    if (root / 'mmsepvit' / '__init__.py').is_file():  # a repository, whose package need not be installed
        sys.path.insert(0, str(root))
    # Threads that spin while they wait take time from other processes. OpenMP reads this when torch is imported.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    try:
        from mmsepvit.cli.command import run_command

        main = import_module(module).main
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    code = run_command(main)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while Python takes itself down shall not print anything
    sys.exit(code)
