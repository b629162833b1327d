"""Checksums of ``.safetensors`` files, whose format has none: one of the tensors, one of what is said of them.

Both stand in the metadata of the files that this project writes; files of others have none.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

TENSORS, HEADER = 'sha256', 'header_sha256'
"""Keys of the two in the metadata."""


def hash_header(header: Mapping[str, Any]) -> str:
    """SHA-256 of a header (names, types, shapes, places, metadata), whatever checksums it holds and in any order."""
    metadata = {key: value for key, value in header['__metadata__'].items() if key not in (TENSORS, HEADER)}
    return sha256(json.dumps({**header, '__metadata__': metadata}, sort_keys=True).encode()).hexdigest()


def find_damage(file: Path) -> str | None:
    """Compares a file with the checksums that it holds.

    Args:
        file: A ``.safetensors`` file that could be read.

    Returns:
        What is not as it was written, or None.
    """
    with file.open('rb') as stream:
        (size,) = struct.unpack('<Q', stream.read(8))
        header = json.loads(stream.read(size))
        metadata = header.get('__metadata__') or {}
        if HEADER in metadata and metadata[HEADER] != hash_header(header):
            return 'the checksum of its header is wrong'
        if TENSORS not in metadata:
            return None
        digest = sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return None if metadata[TENSORS] == digest.hexdigest() else 'the checksum of its tensors is wrong'
