"""torchrun for ``dist_train.sh`` and ``dist_test.sh``, silent where the tool has said what is wrong."""

from __future__ import annotations

import logging
import os
import signal
import sys

from command import EXIT_USER_ERROR

# What torchrun sets by itself, with a warning; and its log, which repeats the exception below.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('LOGLEVEL', 'CRITICAL')

STOPPED = [128 + getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name)]
"""Exit codes of a training that a signal has stopped."""

if __name__ == '__main__':
    try:
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import main
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        main()
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        code = 128 - code if code < 0 else code  # ended by a signal itself
        if code == EXIT_USER_ERROR or code in STOPPED:  # the tool has said why
            sys.exit(code)
        raise
    except SignalException as error:
        sys.exit(128 + error.sigval)
