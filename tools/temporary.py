"""Temporary folders that do not outlive their process: what a killed one left, the next one removes."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["PREFIX", "temporary_folder"]

PREFIX = "microscopy-bundles-"  # nobody else's folders begin so


@contextmanager
def temporary_folder(purpose: str, beside: Path | None = None) -> Iterator[Path]:
    """Make a folder that is removed when the block ends, and remove those of processes that were killed.

    The kernel keeps a lock on the folder for its process, which ends with it however it ends; a folder that nobody
    keeps is left over. On Windows leftovers stay. Its name holds the word ``purpose``; only its owner may read it. It
    is hidden ``beside`` a path, so that what is written can be renamed to it; else where the system has temporary
    files.
    """
    parent = Path(tempfile.gettempdir()) if beside is None else beside.parent
    prefix = PREFIX if beside is None else f".partial-{PREFIX}"
    for left in parent.glob(f"{prefix}*"):
        _remove_if_left(left)
    folder, descriptor = _make(parent, f"{prefix}{purpose}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _make(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """A new folder, kept by this process."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if sys.platform == "win32":
            return folder, None
        with suppress(FileNotFoundError):  # taken for a leftover before it was kept
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, descriptor
            os.close(descriptor)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user's that no process keeps."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # somebody else's, in use, or just removed
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
