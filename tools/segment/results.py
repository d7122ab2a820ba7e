"""The results of a bundle for an image, and reading masks back."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.names import stem as stem_of
from common.reading import nifti
from common.reading.images import is_volume, read_image

__all__ = [
    *("IN_BLOCKS", "MASKS", "MISSING", "STEM", "Result"),
    *("count_objects", "find_mask", "find_table", "is_complete", "read_mask", "renamed", "safe_stem"),
]

STEM = "image"  # of every file that a bundle sees: what users call their files is no part of any path there
MASKS = (".png", ".tif", ".tiff", ".nii", ".nii.gz")
IN_BLOCKS = ".ome.zarr"  # of masks and labels that are put together from blocks
MISSING = "missing_blocks"  # attribute of such a store that lacks some
MAX_STEM = 80  # characters


@dataclass(frozen=True)
class Result:
    """What a bundle made of an image.

    Attributes
    ----------
    image : Path
        The image as the bundle read it: NIfTI for volumes, PNG or TIFF for images.
    mask : Path
        The result that counts, in the same formats.
    files : tuple of Path
        All that the bundle wrote, the mask among them: ``<stem>_<kind>``, and files about no single image.
    seconds : float
        From preparing the image to the last result.
    stem : str
        That names of results begin with.
    """

    image: Path
    mask: Path
    files: tuple[Path, ...]
    seconds: float
    stem: str = STEM

    @property
    def labels(self) -> Path:
        """The mask, numbered by object where the bundle writes that, too."""
        return next((path for path in self.files if path.name.startswith(f"{self.stem}_instances.")), self.mask)

    @property
    def table(self) -> Path | None:
        """CSV file with a row for each object, if there is one."""
        return find_table([path for path in self.files if path.name.startswith(f"{self.stem}_")])


def find_table(files: Sequence[Path]) -> Path | None:
    """The table of the objects among the results of one image; that of the markers only where there is no other."""
    tables = sorted(path for path in files if path.suffix == ".csv")
    pictures = {stem_of(path) for path in files if path not in tables}
    return next((path for path in tables if stem_of(path) not in pictures), next(iter(tables), None))


def count_objects(destination: Path, stems: Iterable[str]) -> dict[str, int]:
    """Number of objects of each image that has a table of them, among the results in a folder."""
    files: dict[str, list[Path]] = {}
    for path in destination.iterdir():
        stem, _, kind = path.name.rpartition("_")
        if not kind.startswith("labels."):  # what --save adds
            files.setdefault(stem, []).append(path)
    tables = {stem: find_table(files.get(stem, [])) for stem in stems}
    return {stem: len(path.read_text(encoding="utf-8").splitlines()) - 1 for stem, path in tables.items() if path}


def find_mask(files: Iterable[Path], stem: str, kind: str) -> Path:
    """The mask of an image among the results of a bundle, where a table or outlines may be of the same kind.

    ValueError if there is none, or more than one.
    """
    (mask,) = (path for path in files if path.name in {f"{stem}_{kind}{ending}" for ending in MASKS})
    return mask


def is_complete(store: Path, since: float) -> bool:
    """Whether an OME-Zarr that was put together from blocks is there, lacks none, and is no older than a time."""
    about = store / "zarr.json"
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
        return about.stat().st_mtime >= since and MISSING not in content.get("attributes", {})
    except (OSError, ValueError):
        return False


def safe_stem(filename: str | None) -> str:
    """What a user calls a file, without folders and ending, of letters and digits that every system and header takes.

    Examples
    --------
    >>> safe_stem("../My cells.nii.gz")
    'My_cells'
    """
    name = re.split(r"[/\\]", filename or "")[-1]
    stem = re.sub(r"(\.nii\.gz|\.ome\.tiff?|\.[A-Za-z0-9]{1,5})$", "", name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:MAX_STEM].strip("._-") or STEM


def renamed(path: Path, stem: str) -> str:
    """Name under which the user gets a result: after the user's own file."""
    return f"{stem}{path.name.removeprefix(STEM)}" if path.name.startswith(f"{STEM}_") else path.name


def read_mask(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """A mask that a bundle wrote, or that was put together from blocks.

    Returns
    -------
    mask : ndarray of int, shape (Y, X) or (Z, Y, X)
    spacing : tuple of float
        µm along the axes of a volume; empty for 2D images, whose files do not give it.
    """
    if path.is_dir():
        from tools.formats.microscopes import read

        image = read(path)
        z, y, x = image.spacing
        if image.axes == "ZYX" and z is not None and y is not None and x is not None:
            return image.pixels, (z, y, x)
        return image.pixels, ()
    spacing = nifti.read_spacing(path) if is_volume(path) else ()
    return read_image(path, labels=True), spacing
