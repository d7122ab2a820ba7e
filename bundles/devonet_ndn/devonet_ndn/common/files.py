"""Files that are either whole or not there, and folders that they can be written to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where torch runs no processes side by side
    fcntl = None

from .errors import InputError

__all__ = ["holding", "prepare_output_dir", "replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` when the block ends well.

    The temporary name starts with a dot and keeps the suffix, from which many writers infer the format. A process that
    is killed leaves it behind; the next one that writes the same file takes it over.

    Parameters
    ----------
    path : Path
        File to write or replace; its folder exists.

    Yields
    ------
    Path
        Name to write to, in the same folder.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def prepare_output_dir(output_dir: str | os.PathLike) -> None:
    """Create the folder that results go to.

    Raises
    ------
    InputError
        If it cannot be created or written to.
    """
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror}); give another --output_dir") from error


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Keep a folder to this process while the block runs, for a file that several processes add to.

    Others that hold it wait; a process that is killed lets it go. Nothing is written. Does nothing on Windows.
    """
    descriptor = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if fcntl:
            os.close(descriptor)
