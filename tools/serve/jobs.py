"""What the server hands to the process that segments, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["STEM", "Job", "Result", "ServedBundle"]

STEM = "image"  # of every file that a bundle sees: what users call their files is no part of any path there


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
    loaders : mapping of str to str
        Handlers of its inference.json that load a network's weights -> the key of the file.
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
    loaders: Mapping[str, str] = field(default_factory=dict)
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
    files : tuple of Path
        All that the bundle wrote, the mask among them: ``image_<kind>``, and what knows of no image.
    seconds : float
        From preparing the image to the last result.
    """

    image: Path
    mask: Path
    files: tuple[Path, ...]
    seconds: float

    @property
    def labels(self) -> Path:
        """The mask, numbered by object where the bundle writes that, too."""
        return next((path for path in self.files if path.name.startswith(f"{STEM}_instances.")), self.mask)

    @property
    def table(self) -> Path | None:
        """CSV file with a row for each object, if there is one."""
        return next((path for path in self.files if path.match(f"{STEM}_*.csv")), None)
