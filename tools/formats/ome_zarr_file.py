"""OME-Zarr (NGFF 0.4 and 0.5), a folder or one in a zip file: its full resolution, plane by plane."""

import functools
import logging
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr

from common.errors import InputError, one_line
from common.reading.formats import find_foreign
from common.reading.units import length_um
from tools.formats.microscopes import ZARR_FILES
from tools.formats.scenes import Scene, Spacing, Window

__all__ = ["open_ome_zarr"]

logger = logging.getLogger(__name__)

# what turns bytes into numbers and no more: a file can name any codec that is installed, such as pickle, which runs
# what it is told to
CODECS = {
    *("blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2", "bytes", "endian", "transpose", "sharding_indexed"),
    *("crc32", "crc32c", "adler32", "fletcher32", "shuffle", "delta", "fixedscaleoffset", "quantize", "bitround"),
    *("packbits", "astype"),
}
UNSCALED = ("translation", "identity")  # what leaves the size of pixels as it is
LARGEST_RATIO = 1040  # of deflate: what a zip file says that it holds beyond that is not there
FREE_BYTES = 64 << 20
MAX_LACKING = 100_000  # chunks beyond ten for each file: each is looked for
METADATA, MAX_METADATA_BYTES = {*ZARR_FILES, ".zarray", ".zmetadata"}, 64 << 20  # which are read as a whole
BYTES_TO_LOOK = 20_000  # of metadata, which are read while one file is looked for
MAX_LISTING_BYTES, BYTES_FOR_LISTING = 2 << 20, 50  # of a zip file's list of files, and one more for so many in it


@contextmanager
def open_ome_zarr(path: Path) -> Iterator[list[Scene]]:
    """The images of an OME-Zarr: one, those that bioformats2raw numbers, or the fields of a plate."""
    if path.is_dir():
        about = [path / name for name in ZARR_FILES if (path / name).is_file()]
        yield _in_folder(path, *(file.stat().st_mtime_ns for file in about))
        return
    inside = _checked_zip(path)
    with _ZipStore(path) as store:
        yield _scenes(path, zarr.open_group(store, path=inside, mode="r"))


class _ZipStore(zarr.storage.ZipStore):
    """Gives only so much metadata of groups and arrays: a short list in a file can name the same ones without end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="r")
        self.bytes_left = MAX_METADATA_BYTES + path.stat().st_size

    async def get(self, key: str, *how: Any, **further: Any) -> Any:
        found = await super().get(key, *how, **further)
        if PurePosixPath(key).name in METADATA:
            self.bytes_left -= BYTES_TO_LOOK + (0 if found is None else len(found))
            if self.bytes_left < 0:
                raise InputError(f"{self.path}: too many images or resolutions in one zip file; export one image")
        return found


@functools.lru_cache(maxsize=1)  # a plate of hundreds of fields is opened for each of them again
def _in_folder(path: Path, *changed: int) -> list[Scene]:
    """The images of a folder, as of when its own metadata were ``changed``."""
    try:
        return _scenes(path, zarr.open_group(path, mode="r"))
    except zarr.errors.ContainsArrayError as error:
        raise InputError(
            f"{path}: a Zarr array by itself, expected an OME-Zarr; give the folder that holds its image"
        ) from error


def _checked_zip(path: Path) -> str:
    """Where the outermost Zarr group lies in a zip file, of which nothing is unpacked."""
    stored = path.stat().st_size
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # which tells the size that is believed below
    if end and end[5] > MAX_LISTING_BYTES + stored // BYTES_FOR_LISTING:
        raise InputError(
            f"{path}: its list of files is {end[5]} bytes of {stored}; save it in larger chunks, or shards"
        )
    with zipfile.ZipFile(path) as archive:
        files = archive.infolist()
    claimed = sum(file.file_size for file in files)
    packed = sum(file.compress_size for file in files)
    if claimed > FREE_BYTES + LARGEST_RATIO * stored or packed > stored:
        raise InputError(
            f"{path}: a zip file of {stored} bytes that says it holds {packed}, unpacked {claimed}; zip the image again"
        )
    longest = max((file.file_size for file in files if Path(file.filename).name in METADATA), default=0)
    if longest > MAX_METADATA_BYTES:
        raise InputError(
            f"{path}: its metadata are {longest} bytes, expected at most {MAX_METADATA_BYTES}; export it again"
        )
    parts = [file.filename.rpartition("/") for file in files]
    groups = {f"{folder}{slash}" for folder, slash, name in parts if name in ZARR_FILES}
    groups = {group for group in groups if ".." not in group.split("/")}
    if not groups and any(file.filename.lower().endswith(".oif") for file in files):
        raise InputError(
            f"{path}: an OIF in a zip file, which is read from its own folder only; unzip it, or save it as OIB or "
            "OME-TIFF"
        )
    if not groups:
        foreign = find_foreign(path) or "a zip file without an OME-Zarr in it; zip the folder of one image"
        raise InputError(f"{path}: {foreign}")
    outermost: list[str] = []
    for group in sorted(groups):  # in which all that lie in one come next to it
        if not outermost or not group.startswith(outermost[-1]):
            outermost.append(group)
    if len(outermost) > 1:
        names = ", ".join(group[:50].rstrip("/") for group in outermost[:10])
        raise InputError(f"{path}: {len(outermost)} images in one zip file ({names}), expected one; zip each by itself")
    return outermost[0].rstrip("/")


def _scenes(path: Path, root: zarr.Group) -> list[Scene]:
    """Mostly a group holds one image; it may list several."""
    found = []
    try:
        for name, group in _images(path, root):
            listed = _ome(group)["multiscales"]
            for multiscale in listed:
                own = str(multiscale.get("name") or "") if len(listed) > 1 or not name else ""
                found.append(_scene(path, group, multiscale, " ".join(filter(None, (name, own)))))
    except InputError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: its metadata of OME (multiscales, axes, datasets, scale) are not of the form that OME-Zarr has "
            f"({one_line(error, path)}); export it again"
        ) from error
    return found


def _images(path: Path, root: zarr.Group) -> list[tuple[str, zarr.Group]]:
    about = _ome(root)
    if "multiscales" in about:
        return [("", root)]
    if "plate" in about:
        wells = [well["path"] for well in about["plate"]["wells"]]
        return [
            (field := f"{well}/{image['path']}", _group(root, field))
            for well in wells
            for image in _ome(_group(root, well))["well"]["images"]
        ]
    inside = [file.name for file in path.iterdir()] if path.is_dir() else _files(path, root)
    numbered = {name for file in inside if (name := file.partition("/")[0]).isdecimal()}
    groups = [(name, root.get(name)) for name in sorted(numbered, key=int)]
    found = [(name, group) for name, group in groups if isinstance(group, zarr.Group) and "multiscales" in _ome(group)]
    if not found:
        raise InputError(f"{path}: a Zarr folder without an OME image (no 'multiscales'); export it as OME-Zarr")
    return found


def _group(root: zarr.Group, name: str) -> zarr.Group:
    group = root.get(name)
    if not isinstance(group, zarr.Group):
        raise ValueError(f"{name} is no group in it")
    return group


def _array(group: zarr.Group, name: str) -> zarr.Array:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{name} is no array in it")
    return array


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """Metadata of OME: under a key of their own since version 0.5."""
    attributes: dict[str, Any] = dict(group.attrs)
    return attributes.get("ome", attributes)


def _scene(path: Path, group: zarr.Group, multiscale: Mapping[str, Any], name: str) -> Scene:
    about = _ome(group)
    levels = [(_array(group, level["path"]), level) for level in multiscale["datasets"]]
    if not levels:
        raise IndexError("no dataset in its multiscales")
    array, full = max(levels, key=lambda level: level[0].size)  # which should be the first
    _check_codecs(path, array)
    _check_number(path, array)
    axes = [str(axis["name"] if isinstance(axis, Mapping) else axis).upper() for axis in _axes(multiscale, array.ndim)]
    if not {"Y", "X"} <= set(axes) <= {*"TCZYX"} or not len({*axes}) == len(axes) == array.ndim:
        raise InputError(f"{path}: axes {', '.join(axes)}, expected T, C, Z, Y and X; export it again")
    shown = about.get("omero", {}).get("channels", [])
    channels = tuple(str(channel.get("label", "")) for channel in shown)
    hues = tuple(str(channel.get("color", "")).lstrip("#").upper() for channel in shown)
    sizes = dict(zip(axes, array.shape, strict=True))
    spacing = _spacing(path, multiscale, full, axes)
    # labels of nothing have no chunk
    check = None if "image-label" in about else functools.cache(lambda: _check_chunks(path, array))
    return Scene.in_parts(name, sizes, spacing, channels, array.dtype, _window(array, axes, check), hues)


def _check_codecs(path: Path, array: zarr.Array) -> None:
    """Refuse what is not plain numbers, or takes a codec to read that could do anything."""
    about: dict[str, Any] = dict(array.metadata.to_dict())
    pipeline = [*(about.get("codecs") or []), *(about.get("filters") or []), about.get("compressor")]
    while pipeline:
        codec = pipeline.pop()
        if codec is None:
            continue
        told = codec if isinstance(codec, Mapping) else {"name": codec}
        name = str(told.get("name", told.get("id", ""))).removeprefix("numcodecs.")
        if name not in CODECS:
            raise InputError(f"{path}: packed by {name[:50]!r}, expected zstd, blosc or another common codec")
        within = told.get("configuration", {})
        pipeline += [*within.get("codecs", []), *within.get("index_codecs", [])]
    if array.dtype.kind not in "uifb":
        raise InputError(f"{path}: pixels of type {array.dtype}, expected numbers; export it again")


def _num_chunks(array: zarr.Array) -> int:
    sides = array.shards or array.chunks
    return math.prod(-(-length // side) for length, side in zip(array.shape, sides, strict=True))


def _check_number(path: Path, array: zarr.Array) -> None:
    """Refuse an image of which nearly no chunk can be stored: a few bytes would be read for hours."""
    number = _num_chunks(array)
    if number > MAX_LACKING and number > MAX_LACKING + 10 * (stored := sum(1 for _ in _files(path, array))):
        raise InputError(f"{path}: says that it has {number} chunks, in {stored} files; copy or export it again")


def _check_chunks(path: Path, array: zarr.Array) -> None:
    """Refuse an image without any chunk where its description says that they are, which would be read as black.

    Where only some are not there, a warning says so: writers leave out what is all black, as the format allows.
    """
    num_chunks = _num_chunks(array)
    key = re.compile(re.sub("0", r"\\d+", re.escape(array.metadata.encode_chunk_key((0,) * array.ndim))))
    num_stored = sum(key.fullmatch(name) is not None for name in _files(path, array))
    if not num_stored:
        raise InputError(f"{path}: no chunk of its pixels is where its description says; copy or export it again")
    if num_stored < num_chunks:
        lacking = num_chunks - num_stored
        logger.warning(
            "%s: %d of %d chunks (%.0f%%) are not stored and are read as %s; if the image is not so there, its copy is "
            "incomplete: copy it again",
            *(path, lacking, num_chunks, 100 * lacking / num_chunks, array.fill_value or 0),
        )


def _files(path: Path, array: zarr.Array | zarr.Group) -> Iterator[str]:
    """Names of all files of an array, or a group, from its root."""
    if path.is_dir():
        root = path / array.path
        yield from (file.relative_to(root).as_posix() for file in root.rglob("*"))
    else:
        with zipfile.ZipFile(path) as archive:
            yield from (name.removeprefix(f"{array.path}/") for name in archive.namelist())


def _axes(multiscale: Mapping[str, Any], num_axes: int) -> Sequence[Any]:
    """As version 0.3 and later tell them; before, they were these five."""
    return multiscale.get("axes", "tczyx"[-num_axes:])


def _window(array: zarr.Array, axes: Sequence[str], check: Callable[[], None] | None) -> Window:
    def read(time: int, channel: int, where: tuple[slice, ...]) -> np.ndarray:
        if check:
            check()
        at: dict[str, int | slice] = {"T": time, "C": channel, **dict(zip("ZYX", where, strict=True))}
        pixels = np.asarray(array[tuple(at[axis] for axis in axes)])
        left = [axis for axis in axes if axis in "ZYX"]
        pixels = pixels.transpose([left.index(axis) for axis in "ZYX" if axis in left])
        return pixels if "Z" in left else pixels[None]

    return read


def _spacing(path: Path, multiscale: Mapping[str, Any], full: Mapping[str, Any], axes: Sequence[str]) -> Spacing:
    """From the scales of the dataset and of the whole, which are multiplied, and the units of the axes."""
    scale = np.ones(len(axes))
    found = False
    for transformation in [
        *full.get("coordinateTransformations", []),
        *multiscale.get("coordinateTransformations", []),
    ]:
        kind = transformation.get("type")
        if kind == "scale":
            scale, found = scale * np.asarray(transformation["scale"], float), True
        elif kind not in UNSCALED:
            raise InputError(
                f"{path}: pixels placed by {str(kind)[:50]!r}, expected scale and translation; export it so"
            )
    units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in _axes(multiscale, len(axes))]
    told = {axis: length_um(step, unit) for axis, step, unit in zip(axes, scale.tolist(), units, strict=True) if found}
    return told.get("Z"), told.get("Y"), told.get("X")
