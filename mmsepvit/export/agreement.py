"""Comparing a network in PyTorch with its file: how far apart they are, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .networks import Run


@dataclass(frozen=True)
class Agreement:
    """A file beside PyTorch on one batch.

    Attributes:
        shape: Shape of the images (B, C, H, W).
        difference: Largest difference of any output, relative to that output's largest value (1 at least).
        cosine: Smallest cosine similarity of any output, each taken as one vector.
        torch_seconds: Time of PyTorch, the median of the rounds.
        file_seconds: Time of the file.
        ratio: The file's time over PyTorch's of the same round, the median.
    """

    shape: tuple[int, ...]
    difference: float
    cosine: float
    torch_seconds: float
    file_seconds: float
    ratio: float


def compare(network: nn.Module, run: Run, batches: Iterable[Tensor], rounds: int = 5) -> list[Agreement]:
    """Runs a network and its file on the same images, in turn.

    Args:
        network: In evaluation mode.
        run: The opened file.
        batches: Images (B, C, H, W).
        rounds: How many times each is timed, after a first run that is not. Defaults to 5.

    Returns:
        One entry for each batch. Outputs of another number or shape, or that are not finite, are infinitely far apart.
    """
    return [_compare(network, run, images, rounds) for images in batches]


def difference(wanted: np.ndarray, found: np.ndarray) -> float:
    """Largest difference, relative to the largest wanted value (1 at least)."""
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1))


def cosine(wanted: np.ndarray, found: np.ndarray) -> float:
    """Cosine similarity of two arrays, each taken as one vector; 1 of two that are zero."""
    a, b = wanted.ravel().astype(np.float64), found.ravel().astype(np.float64)
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms else float(np.array_equal(a, b))


@torch.inference_mode()
def _compare(network: nn.Module, run: Run, images: Tensor, rounds: int) -> Agreement:
    array = images.numpy()
    wanted = [out.numpy() for out in network(images)]
    found = [np.asarray(out, dtype=np.float32) for out in run(array)]
    if [out.shape for out in found] != [out.shape for out in wanted] or not all(
        np.isfinite(out).all() for out in found
    ):
        apart, alike = float('inf'), -1.0
    else:
        apart = max(map(difference, wanted, found))
        alike = min(map(cosine, wanted, found))
    times = [(_seconds(network, images), _seconds(run, array)) for _ in range(rounds)]
    ours, theirs = zip(*times)
    ratio = statistics.median(b / a for a, b in times)
    return Agreement(tuple(images.shape), apart, alike, statistics.median(ours), statistics.median(theirs), ratio)


def _seconds(function: Callable[[Any], Any], images: Any) -> float:
    start = time.perf_counter()
    function(images)
    return time.perf_counter() - start
