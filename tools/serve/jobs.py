"""What the server hands to the process that segments, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Job", "Result", "ServedBundle"]


@dataclass(frozen=True)
class ServedBundle:
    """A bundle that is served.

    Attributes
    ----------
    name : str
        Of its package.
    root : Path
        Its folder.
    task : str
        One line from its metadata.
    num_axes : int
        2 for images, 3 for volumes.
    mask_kind : str
        Which of its results is the mask that is answered: ``<stem>_<kind>``.
    suffixes : tuple of str
        Of the files that it reads.
    options : tuple of str
        Fields that a request may carry.
    backend : str
        ``torch`` or ``onnx``.
    overrides : mapping of str to object
        Of its inference.json, for all requests.
    """

    name: str
    root: Path
    task: str
    num_axes: int
    mask_kind: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    backend: str = "torch"
    overrides: Mapping[str, object] = field(default_factory=dict)


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
        An empty folder of the job's own; what is written is written there. Who made the job removes it.
    options : mapping of str to str
        Fields of the request: ``spacing`` (Z,Y,X in micrometres), ``pixel_size_um``, ``boxes`` (JSON).
    """

    bundle: str
    image: Path
    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a bundle made of an image.

    Attributes
    ----------
    image : Path
        The image as the bundle read it: NIfTI for volumes, PNG or TIFF for images.
    mask : Path
        The result that counts: NIfTI for volumes, PNG or TIFF for images.
    files : mapping of str to Path
        All results by kind, the mask among them: tables are ``.csv``.
    seconds : float
        From preparing the image to the last result.
    """

    image: Path
    mask: Path
    files: Mapping[str, Path]
    seconds: float
