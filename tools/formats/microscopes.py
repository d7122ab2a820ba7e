"""Files of microscopes, whatever the maker: which images are in them, and one of these."""

import importlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from common.errors import InputError, find_write_error, one_line
from common.reading.formats import find_foreign, identify, no_such_file, open_file
from common.reading.tiff_file import FREE_BYTES, LARGEST_RATIO
from tools.formats.scenes import Image, Pick, Scene, only_one, picked, read_scene

__all__ = [
    "ENDINGS",
    "TIFF_ENDINGS",
    "ZARR_FILES",
    "ZIPPED",
    "find_only_image",
    "has_images",
    "is_ome_zarr",
    "list_images",
    "maker_of",
    "open_scenes",
    "read",
]

Reader = Callable[[Path], AbstractContextManager[list[Scene]]]


@dataclass(frozen=True)
class _Maker:
    """A format as people call it, the function that opens its files, the package that takes, and their first bytes."""

    name: str
    module: str
    reader: str
    package: str
    starts: tuple[bytes, ...]


MAKERS = {
    "nd2": _Maker("Nikon ND2", "nd2_file", "open_nd2", "nd2", (b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  ")),
    "czi": _Maker("Zeiss CZI", "czi", "open_czi", "czifile", (b"ZISRAWFILE",)),
    "lif": _Maker("Leica LIF", "lif", "open_lif", "liffile", (b"\x70\0\0\0",)),
    "oib": _Maker("Olympus OIB", "oif", "open_oif", "oiffile", (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)),
    "oif": _Maker("Olympus OIF", "oif", "open_oif", "oiffile", (b"\xff\xfe[\0F\0i\0l\0e\0I\0n\0f\0", b"[FileInfo")),
    "zarr": _Maker("OME-Zarr", "ome_zarr_file", "open_ome_zarr", "zarr", (b"PK\x03\x04",)),  # of a zip file
    "tiff": _Maker("TIFF", "tiff_scenes", "open_tiff_scenes", "tifffile", ()),
}
ENDINGS = (".nd2", ".czi", ".lif", ".oib", ".oif", ".ome.zarr", ".zarr")
ZIPPED = (".zarr.zip", ".ozx")
TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".lsm", ".stk")  # of TIFF by whatever name
MAX_PLANES = 100_000  # time points and channels, beyond one for each byte
LONGEST_START = max(len(start) for maker in MAKERS.values() for start in maker.starts)
ZARR_FILES = ("zarr.json", ".zgroup", ".zattrs")


def is_ome_zarr(path: str | PathLike[str]) -> bool:
    """Whether a folder is a Zarr group."""
    return Path(path).is_dir() and any(Path(path, name).is_file() for name in ZARR_FILES)


def maker_of(path: str | PathLike[str]) -> str | None:
    """Format of a microscope's file by its first bytes, whatever its name; None for none of them, as for TIFF.

    One of ``nd2``, ``czi``, ``lif``, ``oib``, ``oif``, ``zarr``.
    """
    if Path(path).is_dir():
        return "zarr" if is_ome_zarr(path) else None
    try:
        with open_file(path) as file:
            start = file.read(LONGEST_START)
    except FileNotFoundError as error:
        raise no_such_file(path, "give an image") from error
    found = next((kind for kind, maker in MAKERS.items() if start.startswith(maker.starts)), None)
    return None if found == "nd2" and identify(path) == "jp2" else found  # the old ND2 begins as any JPEG 2000


def has_images(path: str | PathLike[str], pick: Pick, *, num_axes: int) -> bool:
    """Whether images have to be picked out of a file, though there may be only one.

    ``num_axes`` is what is wanted: 3 for volumes, for which a series of single planes is a stack. InputError if
    something is picked of a file that is one image.
    """
    if maker_of(path) is not None:
        return True
    if identify(path) == "tiff":
        return pick != Pick() or _has_several(path, num_axes)
    if pick != Pick():
        raise InputError(f"{path}: holds one image, leave out --{next(iter(pick.told()))}")
    return False


def _has_several(path: str | PathLike[str], num_axes: int) -> bool:
    """Whether a TIFF holds channels, time points or positions; what is wrong with it is reported when it is read."""
    try:
        with open_scenes(path) as scenes:
            if len(scenes) > 1:  # pages that nobody calls images may be slices
                return all(scene.name for scene in scenes)
            is_volume = num_axes == 3 and scenes[0].size("Z") == 1
            return scenes[0].size("C") > 1 or (scenes[0].size("T") > 1 and not is_volume)
    except InputError:
        return False


@contextmanager
def open_scenes(path: str | PathLike[str]) -> Iterator[list[Scene]]:
    """What a file, of a format of `maker_of` or TIFF, holds; pixels can be read while the block runs.

    InputError if it is none of these, the package that reads it is not installed, or it is damaged.
    """
    kind = maker_of(path) or ("tiff" if Path(path).is_file() and identify(path) == "tiff" else None)
    if kind is None:
        foreign = "" if Path(path).is_dir() else find_foreign(path)
        known = f"not a known microscope format ({', '.join(ENDINGS)}, TIFF)"
        raise InputError(f"{path}: {foreign or known}")
    maker = MAKERS[kind]
    try:
        reader: Reader = getattr(importlib.import_module(f"tools.formats.{maker.module}"), maker.reader)
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: reading {maker.name} needs a package: pip install {maker.package}") from error
    try:
        with reader(Path(path)) as scenes:
            if not scenes:
                raise InputError(f"{path}: no picture and no volume in it; export the image again")
            _check_claims(path, scenes, has_pixels=kind != "oif" and Path(path).is_file())
            yield scenes
    except InputError:
        raise
    except Exception as error:  # a damaged file makes the readers raise almost anything
        if find_write_error(error) is not None:  # of what is written while the file is open
            raise
        told = one_line(error, path)  # as who sent it should not see where it lies
        raise InputError(
            f"{path}: cannot be read as {maker.name} ({told}); it may be damaged, copy or export it again"
        ) from error


def _check_claims(path: str | PathLike[str], scenes: list[Scene], *, has_pixels: bool) -> None:
    """Refuse a file that claims more than its bytes can hold, with gaps between them; others may be of many files."""
    stored = Path(path).stat().st_size
    for scene in scenes:
        lengths = [scene.size(axis) for axis in "TCZYXS"]
        if lengths[0] * lengths[1] > MAX_PLANES + (stored if has_pixels else 0):
            raise InputError(
                f"{path}: says that it holds {lengths[0]} time points of {lengths[1]} channels; copy or export it again"
            )
        claimed = math.prod(lengths[2:]) * scene.dtype.itemsize
        if min(lengths) < 1 or (has_pixels and claimed > FREE_BYTES + LARGEST_RATIO * stored):
            raise InputError(f"{path}: says that {stored} bytes are {claimed} bytes of pixels; copy or export it again")


def list_images(
    path: str | PathLike[str], pick: Pick | None = None, *, in_colours: bool = False
) -> list[tuple[str, Pick]]:
    """Images of a file that are not left open by a user's pick: every scene and time point, one channel.

    Each comes with what its name has behind the file's, and as `read` takes it. InputError as `open_scenes`, or if what
    is picked is not there, or several channels are and none is picked, which ``in_colours`` are no colours.
    """
    with open_scenes(path) as scenes:
        found = picked(path, scenes, pick or Pick(), in_colours=in_colours)
        return [(_suffix(scenes, one), one) for one in found]


def find_only_image(path: str | PathLike[str], pick: Pick | None = None, *, in_colours: bool = False) -> Pick:
    """What `read` takes of a file that holds one image, as far as a pick leaves it open; InputError as `read`."""
    with open_scenes(path) as scenes:
        return only_one(path, scenes, pick or Pick(), in_colours=in_colours)


def read(path: str | PathLike[str], pick: Pick | None = None, *, in_colours: bool = False) -> Image:
    """One image of a file, of which a pick leaves nothing open that there is more than one of.

    InputError as `list_images`.
    """
    with open_scenes(path) as scenes:
        return read_scene(path, scenes, pick or Pick(), in_colours=in_colours)


def _suffix(scenes: list[Scene], pick: Pick) -> str:
    """Such as ``_Pos3_t012``: the scene by its name if that is unique, else by its number."""
    suffix = ""
    if pick.scene:
        names = [re.sub(r"[^\w.-]+", "_", scene.name).strip("_") for scene in scenes]
        is_told = len({name.casefold() for name in names}) == len(names) and all(names)
        suffix += f"_{names[int(pick.scene)]}" if is_told else f"_scene{int(pick.scene):0{len(str(len(names) - 1))}}"
    if pick.time:
        last = scenes[int(pick.scene or 0)].size("T") - 1
        suffix += f"_t{int(pick.time):0{max(3, len(str(last)))}}"
    return suffix
