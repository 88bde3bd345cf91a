"""Fingerprints of large files, without reading all of them."""

import hashlib
from pathlib import Path

_BLOCK = 65_536
_BLOCKS = 64


def fingerprint(file: Path) -> str:
    """Size, time and blocks from all over the file, both ends whole; 32 hex digits, no dash.

    Raises:
        OSError: the file cannot be read.
    """
    info = file.stat()
    digest = hashlib.sha256(f"{info.st_size} {info.st_mtime_ns}".encode())
    last = max(0, info.st_size - _BLOCK)
    with file.open("rb", buffering=0) as stream:
        for number in range(_BLOCKS):
            stream.seek(last * number // (_BLOCKS - 1))
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()[:32]
