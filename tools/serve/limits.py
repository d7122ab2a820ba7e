"""What a request may take from the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

__all__ = ["Limits"]


SHARE_OF_MEMORY = 0.8
FALLBACK_BYTES = 8 << 30  # where the system does not say what it has


def _most_memory() -> int:
    try:
        return int(SHARE_OF_MEMORY * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError):
        return FALLBACK_BYTES


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes
    ----------
    max_upload_bytes : int
        Of a request's body, or of a file in the data folder.
    max_queue : int
        Requests that may wait; more are sent away with 429.
    timeout_s : float
        For an upload, and for segmenting an image.
    max_memory_bytes : int
        That an image may take to segment; four fifths of the machine's if not given. One that needs more by what its
        header says is refused before it is decoded, and the process that segments gets no more.
    grace_s : float
        For what is still running when the server has to stop.
    """

    max_upload_bytes: int = 256 << 20
    max_queue: int = 16
    timeout_s: float = 600.0
    max_memory_bytes: int = field(default_factory=_most_memory)
    grace_s: float = 10.0
