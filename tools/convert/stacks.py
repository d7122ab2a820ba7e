"""Single volumes, as they come from a microscope, to NIfTI and dataset.json."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datalist import DATALIST, write_dataset
from common.errors import InputError
from common.names import by_name, own_results
from common.names import stem as stem_of
from common.reading.tiff import read_header, read_spacing
from tools.command_line import as_verb
from tools.convert.dataset import as_numbers, read_image, write_unless_whole, writing_dataset
from tools.convert.spacing import check_spacing, parse_spacing
from tools.formats.microscopes import (
    ENDINGS,
    TIFF_ENDINGS,
    ZIPPED,
    has_images,
    is_ome_zarr,
    list_images,
    open_scenes,
    read,
)
from tools.formats.scenes import Pick

__all__ = ["find_stacks", "tiff"]

logger = logging.getLogger(__name__)

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (*TIFF_ENDINGS, *ENDINGS, *ZIPPED)


@dataclass(frozen=True)
class _Stack:
    """A volume that is to be converted: its shape and the file's spacing in µm, both (Z, Y, X).

    ``pick`` says which image of the file it is; None where a TIFF is one volume.
    """

    path: Path
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] | None
    pick: Pick | None = None

    def read(self) -> np.ndarray:
        if self.pick is None:
            return read_image(self.path)
        return as_numbers(self.path, read(self.path, self.pick).pixels.reshape(self.shape))

    def sources(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_file()) if self.path.is_dir() else [self.path]


@as_verb(source=Path, destination=Path, spacing=parse_spacing)
def tiff(
    source: Path,
    destination: Path,
    *,
    spacing: tuple[float, float, float] | None = None,
    scene: str = "",
    channel: str = "",
    time: str = "",
    name: str = "",
) -> dict[str, object]:
    """Convert gray volumes of a microscope to NIfTI and a dataset.json that lists them under testing.

    One volume is in memory at a time. All headers are checked before anything is written. A second run skips the files
    that are already there and whole.

    Parameters
    ----------
    source : Path
        A TIFF file, LSM, STK, CZI, ND2, LIF, OIF, OIB or OME-Zarr (a folder, or one in a zip file), or a folder of
        them. Every position and every time point of a file is a volume.
    destination : Path
        Folder to write images/ and dataset.json to.
    spacing : tuple of float
        Size of a voxel in micrometres as Z,Y,X, instead of what the files say; required if they have none.
    scene : str
        Which of several positions, by its name or its number from 0; all if not given.
    channel : str
        Which of several channels, by its name or its number from 0.
    time : str
        Which of several time points, by its number from 0; all if not given.
    name : str
        Text for dataset.json; it defaults to the source's name.

    Returns
    -------
    dict of str to object
        What was converted: images, dataset.

    Raises
    ------
    InputError
        If there is no stack, two have the same name, or one is not a gray volume of finite numbers, or of unknown
        spacing; or if the destination cannot be written.
    """
    stacks: dict[str, _Stack] = {}
    for stem, path in find_stacks(source).items():
        for suffix, stack in _stacks_of(path, Pick(scene, channel, time)):
            if f"{stem}{suffix}" in stacks:
                raise InputError(f"{path}: {stem}{suffix} is also what a part of another file is called; rename one")
            stacks[f"{stem}{suffix}"] = stack
    spacings = {stem: _spacing(stack, spacing) for stem, stack in stacks.items()}
    flat = [stack.path for stack in stacks.values() if stack.shape[0] == 1]
    if len(flat) > 1:
        logger.warning(
            "%s and %d others: single slices, each of which becomes a volume of its own; if they are the slices of one "
            "volume, save them as one stack",
            *(flat[0], len(flat) - 1),
        )
    with writing_dataset(destination, ("images",), stacks) as folder:
        testing = []
        for stem, stack in tqdm(stacks.items(), desc="convert tiff", unit="stack"):
            testing.append({"image": f"images/{stem}.nii.gz"})
            target = folder / testing[-1]["image"]
            note = " ".join(stack.pick.told().values()) if stack.pick else ""
            write_unless_whole(target, stack.sources(), partial(stack.read), stack.shape, spacings[stem], note)
        facts = {"spacing": list(spacings.popitem()[1])} if len(set(spacings.values())) == 1 else {}
        write_dataset(
            folder, name=name or source.resolve().stem, training=[], testing=testing, licence="unknown", **facts
        )
    return {"images": len(testing), "dataset": destination / DATALIST}


def _stacks_of(path: Path, pick: Pick) -> Iterator[tuple[str, _Stack]]:
    """The volumes of a file, and what their names have behind the file's."""
    if not has_images(path, pick, num_axes=3):
        yield "", _Stack(path, read_header(path).shape, read_spacing(path))
        return
    images = list_images(path, pick)
    with open_scenes(path) as scenes:
        for suffix, one in images:
            scene = scenes[int(one.scene or 0)]
            if scene.size("S") > 1:
                raise InputError(f"{path}: in colours, expected gray volumes; export a single channel")
            z, y, x = scene.spacing
            known = None if z is None or y is None or x is None else (z, y, x)
            yield suffix, _Stack(path, (scene.size("Z"), scene.size("Y"), scene.size("X")), known, one)


def _spacing(stack: _Stack, given: tuple[float, float, float] | None) -> tuple[float, float, float]:
    """The given spacing, else the file's."""
    if given is not None and stack.spacing is not None and not np.allclose(stack.spacing, given, rtol=0.02):
        logger.warning("%s: its spacing is %s um (Z, Y, X) by the file, using %s", stack.path, stack.spacing, given)
    return given or check_spacing(stack.path, stack.spacing)


def find_stacks(source: Path) -> dict[str, Path]:
    """A file, an OME-Zarr, or the files of a folder, by the name that everything made from them gets; no results.

    InputError if there is none, or two have the same name.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder; give a TIFF stack or a folder of them")
    paths = [source] if source.is_file() or is_ome_zarr(source) else sorted(source.glob("[!.]*"))
    results = own_results(paths)
    if results:
        logger.info("%s: %d files are results, such as %s, and are left out", source, len(results), min(results).name)
    paths = [path for path in paths if path.name.lower().endswith(SUFFIXES) and path not in results]
    paths = [path for path in paths if not path.is_dir() or is_ome_zarr(path)]
    if not paths:
        raise InputError(
            f"{source}: no stack there, expected *{', *'.join(SUFFIXES)}; export the stacks as TIFF or OME-Zarr"
        )
    return by_name((path.stem if path.suffix.lower() in TIFF_SUFFIXES else stem_of(path), path) for path in paths)
