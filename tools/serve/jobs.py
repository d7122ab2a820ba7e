"""What the server hands to the process that segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.segment.results import STEM

__all__ = ["Job"]


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
        Fields of the request: ``spacing`` (Z,Y,X in micrometres), ``pixel_size_um``, ``boxes`` (JSON); ``scene``,
        ``channel`` and ``time`` of a microscope's file.
    view : Path or None
        Where to write the image as it is shown: see `write_view`. The image is a stranger's, so that only the process
        that segments opens it.
    stem : str
        That names of results, and tables, call the image.
    """

    bundle: str
    image: Path
    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    view: Path | None = None
    stem: str = STEM
