"""Trainings in processes of their own that need not import anything: forked from one that has, and killed at will.

What is killed is a whole session: the training and its data loading processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path

import torch

from mmsepvit.cli.command import run_command
from mmsepvit.cli.test import main as test
from mmsepvit.cli.train import main as train

_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(['forked_runs', 'kill_at', 'mmseg.models', 'mmdet.models', 'mmpretrain.models'])


def _run(tool: str, words: list[str], folder: str, log: str, environment: dict[str, str]) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    torch.set_num_threads(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = run_command({'train': train, 'test': test}[tool], words)
    sys.stdout.flush()
    os._exit(code)


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


class ForkedRun:
    """A training or test in one or more processes.

    Args:
        words: Arguments of the tool.
        folder: Working directory.
        log: File that its output is added to.
        processes: Number of processes. More than one find each other as torchrun would have them. Defaults to 1.
        port: Where several processes meet. Defaults to none.
        tool: 'train' or 'test'. Defaults to 'train'.
    """

    def __init__(
        self, words: list[str], folder: Path, log: Path, processes: int = 1, port: int = 0, tool: str = 'train'
    ) -> None:
        self.processes = []
        for rank in range(processes):
            environment = {'OMP_NUM_THREADS': '1'}
            if processes > 1:
                environment |= {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': str(processes)}
                environment |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
                launched = ['--launcher', 'pytorch', *words]
            else:
                launched = words
            arguments = (tool, launched, str(folder), str(log), environment)
            process = _CONTEXT.Process(target=_run, args=arguments)
            process.start()
            self.processes.append(process)

    def wait(self, seconds: float | None = None) -> list[int | None]:
        """Waits for the ends of the processes, each for some seconds; returns their exit codes, None if it goes on."""
        for process in self.processes:
            process.join(seconds)
        return [process.exitcode for process in self.processes]

    def kill(self) -> None:
        """Kills all at once, as a lost machine does."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has ended, or not begun
                process.kill()
        for process in self.processes:
            process.join()
