"""Writing a sample, or completing the same one; writing its images alone; the command that comes next."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from common.errors import InputError
from common.files import replacing

__all__ = ["complete_files", "tools_command", "write_files"]


def complete_files(destination: Path, files: dict[str, bytes], present: Iterable[Path]) -> None:
    """Write the files of a sample that are not there yet.

    Parameters
    ----------
    destination : Path
        Folder to write to.
    files : dict of str to bytes
        Path within the folder, POSIX -> content.
    present : iterable of Path
        What lies in the folder where a sample's files do.

    Raises
    ------
    InputError
        If anything present is not of this sample, or the folder cannot be written.
    """
    missing = dict(files)
    try:
        for path in sorted(present):
            if missing.pop(path.relative_to(destination).as_posix(), None) != path.read_bytes():
                raise InputError(f"{path}: not of the dataset to write; choose an empty folder or remove it")
        for name, content in missing.items():
            path = destination / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(content)
    except OSError as error:
        raise InputError(f"{destination}: cannot be written ({error.strerror}); choose another folder") from error


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Write files into one folder, or replace them.

    Parameters
    ----------
    folder : Path
        It exists.
    files : iterable of (str, bytes)
        Name, of whose folders nothing is kept, and content.
    """
    written = []
    for name, content in files:
        written.append(folder / Path(name).name)
        with replacing(written[-1]) as partial:
            partial.write_bytes(content)
    return written


def tools_command(*words: object) -> str:
    """A command line of the toolbox, ready to be pasted into a shell."""
    return shlex.join(["python", "-m", "tools", *map(str, words)])
