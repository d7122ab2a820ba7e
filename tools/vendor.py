"""Copies of shared files inside the bundles, which have to run alone."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from tools.atomic import replacing
from tools.command_line import reject
from tools.errors import InputError

__all__ = ["differing_copies", "vendor"]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
HEADER = re.compile(rb"# Copied from (?P<source>.+): edit there, then run python -m tools vendor")
MAX_HEADER_BYTES = 500


def vendor(*extra, check: bool = False, **unknown) -> dict[str, object]:
    """Renew the files in bundles/ that say in their first line where they are copied from.

    Parameters
    ----------
    check : bool
        Change nothing; fail and name the copies that differ from their source.
    """
    reject(unknown, vendor, extra)
    copies, differing = _expected_copies(ROOT), differing_copies(ROOT)
    if check and differing:
        raise InputError(f"copies that differ from their source: {_names(differing)}; run python -m tools vendor")
    for path in differing:
        with replacing(ROOT / path) as partial:
            partial.write_bytes(copies[ROOT / path])
        logger.info("renewed %s", path)
    return {"copies": len(copies), "renewed": _names(differing) or "none"}


def differing_copies(root: Path) -> list[Path]:
    """Copies that are not what their source would make them.

    Parameters
    ----------
    root : Path
        Repository, which holds bundles/ and the sources.

    Returns
    -------
    list of Path
        Relative to ``root``, sorted.

    Raises
    ------
    InputError
        If a source does not exist.
    """
    copies = _expected_copies(root)
    return [path.relative_to(root) for path, content in copies.items() if path.read_bytes() != content]


def _expected_copies(root: Path) -> dict[Path, bytes]:
    """Every copy -> what it should hold: its own first line, then its source."""
    copies = {}
    for path in sorted(path for path in root.glob("bundles/*/**/*") if path.is_file()):
        with path.open("rb") as file:
            header = file.readline(MAX_HEADER_BYTES).rstrip(b"\r\n")
        match = HEADER.fullmatch(header)
        if not match:
            continue
        source = root / match["source"].decode()
        if not source.is_file():
            raise InputError(f"{path}: copied from {source}, which does not exist; correct the first line")
        copies[path] = header + b"\n" + source.read_bytes()
    return copies


def _names(paths: list[Path]) -> str:
    return ", ".join(path.as_posix() for path in paths)
