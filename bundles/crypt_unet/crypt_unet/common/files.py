"""Files that are either whole or not there, and folders that they can be written to."""

import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError, find_write_error

if sys.platform != "win32":  # where torch runs no processes side by side
    import fcntl

__all__ = ["FolderLock", "holding", "partial_path", "prepare_output_dir", "replacing", "write_text"]

# what another machine's process left behind is removed after a day; of this machine's it is known whether they live
OLD_S = 24 * 3600
_HOST = re.sub(r"\W", "", platform.node())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` when the block ends well.

    The temporary name is this process's own, starts with a dot and keeps the suffix, from which many writers infer the
    format. A process that is killed leaves its file behind; the next one that writes the same file removes it.

    Parameters
    ----------
    path : Path
        File to write or replace; its folder exists.

    Yields
    ------
    Path
        Name to write to, in the same folder.

    Raises
    ------
    InputError
        If the disk is full, or the folder may not be written; what was there is untouched.
    """
    _sweep(path)
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    except Exception as error:
        found = find_write_error(error)
        if found is None or isinstance(error, InputError) or found.filename not in (None, *map(str, (partial, path))):
            raise
        raise InputError(
            f"{path}: cannot be written ({found.strerror}); free some space, or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # of a folder that cannot be written, or is gone
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


def partial_path(path: Path) -> Path:
    """The name beside ``path`` that this process writes to before it renames: ``.partial-<host>-<pid>-<name>``."""
    return path.with_name(f".partial-{_HOST}-{os.getpid()}-{path.name}")


def _sweep(path: Path) -> None:
    """Remove what killed processes left of a file; what a living one is writing stays."""
    for left in path.parent.glob(".partial-*"):
        match = re.fullmatch(rf"\.partial-(\w*)-(\d+)-{re.escape(path.name)}", left.name)
        if match and (not _is_alive(int(match[2])) if match[1] == _HOST else _is_old(left)):
            left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > OLD_S
    except FileNotFoundError:  # just renamed
        return False


class FolderLock:
    """Keeps a folder to one long piece of work, such as a training, from `acquire` to `release`.

    The lock is the kernel's: it ends with the process, however that ends. The file ``.lock`` in the folder names the
    process for those who are refused. Does nothing on Windows.

    Parameters
    ----------
    folder : path
        Exists.
    work : str
        What keeps it, in words, such as ``a training``.
    """

    def __init__(self, folder: str | os.PathLike[str], work: str) -> None:
        self.path, self.work = Path(folder) / ".lock", work
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Keep the folder; InputError if other work keeps it."""
        if sys.platform == "win32" or self._descriptor is not None:
            return
        while self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                # a record lock: processes that this one forks, such as loaders, do not keep it alive
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.read(descriptor, 100).decode(errors="replace").strip() or "another process"
                os.close(descriptor)
                raise InputError(
                    f"{self.path.parent}: {self.work} by {holder} writes there; wait for it, or give another folder"
                ) from error
            if self.path.exists() and os.path.samestat(os.fstat(descriptor), self.path.stat()):
                self._descriptor = descriptor
            else:  # released, and with it removed, between opening and locking
                os.close(descriptor)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"process {os.getpid()} on {platform.node()}".encode())

    def release(self) -> None:
        """Let the folder go; harmless where it is not kept."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def prepare_output_dir(output_dir: str | os.PathLike[str]) -> None:
    """Create the folder that results go to; InputError if it cannot be created or written to."""
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror}); give another folder") from error


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Keep a folder to this process while the block runs, for a file that several processes add to.

    Others that hold it wait; a process that is killed lets it go. Nothing is written. Does nothing on Windows.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
