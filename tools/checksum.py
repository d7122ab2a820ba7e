"""Checksums of files."""

import hashlib
from pathlib import Path

__all__ = ["checksum"]


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file, which is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
