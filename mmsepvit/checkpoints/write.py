"""Writing files whole or not at all: beside the old one, flushed to the disk, and only then in its place."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import LocalBackend, register_backend
from torch import Tensor

from ..errors import UserError
from .checksums import HEADER, TENSORS, hash_header

PART = '.part'
"""What stands behind the name of a file that is not whole yet."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error codes of a disk without room, or a user's share of it."""


def write_whole(data: bytes, path: str | Path) -> None:
    """Writes a file. Killed at any moment, it leaves the old file or the new one under that name.

    Args:
        data: The content.
        path: Where to. Its folder is made if it is not there.

    Raises:
        UserError: The disk is full, or the folder cannot be written to. Nothing is left then.
    """
    path = Path(path)
    part = path.with_name(path.name + PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)  # so that the new name, too, outlives a loss of power
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)
        if error.errno in FULL:
            raise UserError(
                f"'{path}' cannot be written: {error.strerror}. It needs {_megabytes(len(data))}, and "
                f'{_megabytes(shutil.disk_usage(path.parent).free)} are free.\n'
                'Make room on that disk, then go on: for a training, the same command with --resume.'
            ) from None
        raise UserError(f"'{path}' cannot be written: {error.strerror}.") from None


def _megabytes(count: int) -> str:
    return f'{count / 1e6:.1f} MB'


@register_backend('mmsepvit')
class WholeFileBackend(LocalBackend):
    """mmengine's backend of local files, which writes with `write_whole`: ``backend_args=dict(backend='mmsepvit')``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_whole(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        write_whole(obj.encode(encoding), filepath)


def check_destination(path: Path) -> None:
    """Checks the name of a file of weights before the work begins that makes them.

    Args:
        path: The name.

    Raises:
        UserError: Its ending is of no format that is read again, there is such a file, or no such folder.
    """
    if path.suffix not in ('.pth', '.pt', '.safetensors'):
        raise UserError(f"'{path}' must end in .pth, .pt or .safetensors.")
    if path.exists():
        raise UserError(f"'{path}' exists already; choose another name.")
    if not path.parent.is_dir():
        raise UserError(f"'{path}' cannot be written: there is no folder '{path.parent}'.")


def encode_weights(state_dict: dict[str, Tensor], meta: dict[str, Any], suffix: str) -> bytes:
    """Weights and plain values as the content of a file.

    Args:
        state_dict: The weights.
        meta: Plain values: numbers, texts, and lists and dicts of them.
        suffix: '.safetensors', or that of a PyTorch file.

    Returns:
        The content. That of a ``.safetensors`` file has its checksums in its metadata.
    """
    # Copies, as a view would be written with all of the tensor that it is a view of.
    state_dict = {name: weight.detach().cpu().clone().contiguous() for name, weight in state_dict.items()}
    if suffix != '.safetensors':
        buffer = io.BytesIO()
        torch.save({'state_dict': state_dict, 'meta': meta}, buffer)
        return buffer.getvalue()
    from safetensors.torch import save

    # The library writes metadata in an order of its own each time; equal weights shall make equal files.
    plain = save(state_dict)
    size = int.from_bytes(plain[:8], 'little')
    header, data = json.loads(plain[8 : 8 + size]), plain[8 + size :]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sorted(meta.items())}
    texts[TENSORS] = sha256(data).hexdigest()
    texts[HEADER] = hash_header({'__metadata__': texts, **header})
    content = json.dumps({'__metadata__': texts, **header}).encode()
    content += b' ' * (-len(content) % 8)
    return len(content).to_bytes(8, 'little') + content + data
