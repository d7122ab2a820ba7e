"""What the server hands to the process that segments, and what that may take from the machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.memory import total_memory
from tools.segment.results import STEM

__all__ = ["Job", "Limits"]

SHARE_OF_MEMORY = 0.8
FALLBACK_BYTES = 8 << 30  # where the system does not say what it has


@dataclass(frozen=True)
class Job:
    """An image to segment.

    Attributes
    ----------
    bundle : str
        Name of the bundle.
    image : Path
        The file as it was uploaded, of any format that the server takes.
    folder : Path
        An empty folder of the job's own; what is written is written there. The caller removes it.
    options : mapping of str to str
        Fields of the request: ``spacing`` (Z,Y,X in micrometres), ``pixel_size_um``, ``boxes`` and ``points`` (JSON);
        ``scene``, ``channel`` and ``time`` of a microscope's file.
    view : Path or None
        Where to write the image as it is shown: see `write_view`. The image is a stranger's, so that only the process
        that segments opens it.
    stem : str
        That names of results, and tables, call the image.
    data_dir : Path or None
        Which the image has to lie in still when it is opened: it may have become a link while it waited.
    """

    bundle: str
    image: Path
    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    view: Path | None = None
    stem: str = STEM
    data_dir: Path | None = None


def _most_memory() -> int:
    memory = total_memory()
    return int(SHARE_OF_MEMORY * memory) if math.isfinite(memory) else FALLBACK_BYTES


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
