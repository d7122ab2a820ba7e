# Copied from bundles/devonet_nsn/devonet_nsn/folders.py: edit there, then run python -m tools vendor
"""Folders that results go to."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError

__all__ = ["prepare_output_dir"]


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
