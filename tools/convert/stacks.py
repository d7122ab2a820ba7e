"""Single TIFF stacks, as they come from a microscope, to NIfTI volumes and dataset.json."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datalist import write_dataset
from common.errors import InputError
from common.reading.tiff import read_header, read_spacing
from tools.command_line import as_verb
from tools.convert.dataset import prepare_dataset, read_image, write_unless_whole
from tools.convert.spacing import parse_spacing

__all__ = ["find_stacks", "tiff"]

logger = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff")


@as_verb(source=Path, destination=Path, spacing=parse_spacing)
def tiff(source: Path, destination: Path, *, spacing: tuple[float, float, float], name: str = "") -> dict[str, object]:
    """Convert gray TIFF stacks, one volume per file, to NIfTI and a dataset.json that lists them under testing.

    One is in memory at a time; all headers are checked before anything is written. A second run skips the files that
    are already there and whole.

    Parameters
    ----------
    source : Path
        A TIFF file, or a folder of them.
    destination : Path
        Folder to write images/ and dataset.json to.
    spacing : tuple of float
        Voxel spacing in micrometres as Z,Y,X; required.
    name : str
        Text for dataset.json; it defaults to the source's name.

    Returns
    -------
    dict of str to object
        What was converted: images, dataset.

    Raises
    ------
    InputError
        If there is no stack, two have the same name, or one is not a gray volume of finite numbers; or if the
        destination cannot be written.
    """
    stacks = find_stacks(source)
    shapes = {stem: read_header(path).shape for stem, path in stacks.items()}
    for path in stacks.values():
        stated = read_spacing(path)
        if stated is not None and not np.allclose(stated, spacing, rtol=0.02):
            logger.warning("%s: says that its spacing is %s um (Z, Y, X), taken is %s", path, stated, spacing)
    datalist_path = prepare_dataset(destination, ("images",))
    testing = []
    for stem, path in tqdm(stacks.items(), desc="convert tiff", unit="stack"):
        testing.append({"image": f"images/{stem}.nii.gz"})
        target = destination / testing[-1]["image"]
        write_unless_whole(target, [path], partial(read_image, path), shapes[stem], spacing)
    write_dataset(
        destination,
        name=name or source.resolve().stem,
        training=[],
        testing=testing,
        licence="unknown",
        spacing=list(spacing),
    )
    return {"images": len(testing), "dataset": datalist_path}


def find_stacks(source: Path) -> dict[str, Path]:
    """TIFF files by the name that everything made from them gets.

    Parameters
    ----------
    source : Path
        A TIFF file, or a folder of them.

    Returns
    -------
    dict of str to Path
        Name without ending -> file, sorted.

    Raises
    ------
    InputError
        If there is none, or two have the same name.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; give a TIFF stack or a folder of them")
    paths = [source] if source.is_file() else sorted(source.glob("[!.]*"))
    paths = [path for path in paths if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError(f"{source}: no TIFF there, expected *.tif or *.tiff; export the stacks as TIFF")
    stacks: dict[str, Path] = {}
    for path in paths:
        if path.stem in stacks:
            raise InputError(f"{path}: same name as {stacks[path.stem]}, so their results would be; rename one")
        stacks[path.stem] = path
    return stacks
