"""Checksums of files, and which are copies."""

import filecmp
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["checksum", "copies"]

SAMPLE_BYTES = 1 << 16


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file, which is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def copies(paths: Iterable[Path]) -> dict[Path, Path]:
    """Files that hold the very bytes of another one before them -> that one; of most only a part is read."""
    kept: dict[tuple[int, int], list[Path]] = {}
    found = {}
    for path in paths:
        if not (size := path.stat().st_size):  # an empty file is no image
            continue
        with path.open("rb") as file:
            file.seek(size // 2)  # where files of one program differ
            alike = kept.setdefault((size, zlib.crc32(file.read(SAMPLE_BYTES))), [])
        first = next((other for other in alike if filecmp.cmp(other, path, shallow=False)), None)
        if first is None:
            alike.append(path)
        elif first != path:
            found[path] = first
    return found
