"""What a request may take from the machine."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits of the server.

    Attributes
    ----------
    max_upload_bytes : int
        Of a request's body, or of a file in the data folder.
    max_pixels : int
        Of an image, times its channels, before it is decoded.
    max_queue : int
        Requests that may wait; more are sent away with 429.
    timeout_s : float
        For an upload, and for segmenting an image.
    max_memory_bytes : int, optional
        That the process that segments may take for an image; four fifths of the machine's if not given.
    grace_s : float
        For what runs when the server is told to end.
    """

    max_upload_bytes: int = 256 << 20
    max_pixels: int = 250_000_000
    max_queue: int = 16
    timeout_s: float = 600.0
    max_memory_bytes: int | None = None
    grace_s: float = 10.0
