"""torchrun for ``dist_train.sh`` and ``dist_test.sh``, silent where the tool has said what is wrong."""

from __future__ import annotations

import logging
import os
import sys

from command import EXIT_USER_ERROR

# What torchrun sets by itself, with a warning; and its log, which repeats the exception below.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('LOGLEVEL', 'CRITICAL')

if __name__ == '__main__':
    try:
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import main
    except ModuleNotFoundError as error:
        print(f'error: {error}\nInstall one of the two stacks, see README.md.', file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        main()
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode == EXIT_USER_ERROR:
            sys.exit(EXIT_USER_ERROR)
        raise
