"""Parts of an image, whatever its format, read without the rest of it where the format allows that."""

import gzip
import logging
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from common.errors import InputError, one_line
from common.files import replacing
from common.reading.formats import identify
from common.reading.nifti import open_nifti, unreadable
from common.reading.pictures import read_gray
from common.reading.tiff import read_pixel_size, read_spacing, read_volume
from tools.formats.microscopes import maker_of, open_scenes
from tools.formats.scenes import Pick, Scene, Spacing, picked, read_scene

__all__ = ["Regions", "open_regions"]

logger = logging.getLogger(__name__)

Read = Callable[[tuple[slice, ...]], np.ndarray]


@dataclass(frozen=True)
class Regions:
    """An image that can be read in parts.

    Attributes
    ----------
    shape : tuple of int
        (Z, Y, X), or (Y, X) of a picture.
    dtype : numpy.dtype
        Of what `read` returns.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X); None for each that the file does not give.
    read : callable
        Takes a slice for every axis, with start and stop; returns these pixels. InputError where they cannot be read.
    affine : ndarray or None
        Of a NIfTI volume, from (X, Y, Z).
    is_lazy : bool
        Whether only what is asked for is read; else all of the image is in memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    spacing: Spacing
    read: Read
    affine: np.ndarray | None = None
    is_lazy: bool = True


@contextmanager
def open_regions(path: Path, *, num_axes: int, scratch: Path, pick: Pick | None = None) -> Iterator[Regions]:
    """An image to be read in parts, of any format that `tools.segment` takes, but slides of several files.

    OME-Zarr, TIFF and NIfTI are read lazily; of other formats, and of pictures in colours, the image is read whole.

    Parameters
    ----------
    path : Path
    num_axes : int
        3 for a volume, 2 for a picture.
    scratch : Path
        An existing folder, where a compressed volume is unpacked to; it is found there again.
    pick : Pick, optional
        Which image of a microscope's file.

    Raises
    ------
    InputError
        If the file is damaged, holds no gray image of so many axes, or another number of images than one.
    """
    with ExitStack() as stack:
        found = _open(stack, path, num_axes, scratch, pick or Pick())
        if found.dtype.kind not in "uif":
            raise InputError(f"{path}: pixels of type {found.dtype}, expected gray values; export 8 or 16 bit gray")
        if len(found.shape) != num_axes:
            wanted = "volumes" if num_axes == 3 else "images of two axes"
            raise InputError(f"{path}: shape {found.shape}, expected {wanted}; export what the bundle takes")
        yield found


def _open(stack: ExitStack, path: Path, num_axes: int, scratch: Path, pick: Pick) -> Regions:
    kind = None if maker_of(path) else identify(path)
    if kind in ("nii", "nii.gz"):
        return _nifti(path, kind, scratch)
    if kind in (None, "tiff"):
        scenes = _enter(stack, path)
        scene, chosen = _only(path, scenes, pick, num_axes, is_tiff=kind == "tiff")
        if scene is not None and scene.window is not None and scene.size("S") == 1:
            return _lazy(path, scene, chosen, num_axes)
        if kind is None or pick != Pick():
            image = read_scene(path, scenes, pick)
            return _whole(image.pixels, image.spacing)
    if num_axes == 3:
        return _whole(read_volume(path), (read_spacing(path) if kind == "tiff" else None) or (None,) * 3)
    size = read_pixel_size(path) if kind == "tiff" else None
    return _whole(read_gray(path), (None, *size) if size else (None, None, None))


def _enter(stack: ExitStack, path: Path) -> list[Scene]:
    """The scenes of a file, which is closed with the stack, but does not see errors from outside."""
    opened = open_scenes(path)
    scenes = opened.__enter__()
    stack.callback(opened.__exit__, None, None, None)
    return scenes


def _only(path: Path, scenes: list[Scene], pick: Pick, num_axes: int, *, is_tiff: bool) -> tuple[Scene | None, Pick]:
    """The scene that is meant, where it can be read in parts; what else a TIFF holds is left to those who read all."""
    if is_tiff and pick == Pick() and (len(scenes) > 1 or scenes[0].size("C") > 1 or scenes[0].size("T") > 1):
        return None, pick
    found = picked(path, scenes, pick)
    if len(found) != 1:
        return None, pick
    scene = scenes[int(found[0].scene or 0)]
    return (scene if (scene.size("Z") > 1) == (num_axes == 3) else None), found[0]


def _lazy(path: Path, scene: Scene, pick: Pick, num_axes: int) -> Regions:
    window = scene.window
    assert window is not None
    time, channel = int(pick.time or 0), int(pick.channel or 0)

    def read(where: tuple[slice, ...]) -> np.ndarray:
        pixels = window(time, channel, where if num_axes == 3 else (slice(0, 1), *where))
        return pixels if num_axes == 3 else pixels[0]

    shape, blaming = tuple(scene.size(axis) for axis in "ZYX"[3 - num_axes :]), _blaming(path, read)
    return Regions(shape, blaming((slice(0, 1),) * num_axes).dtype, scene.spacing, blaming)


def _whole(pixels: np.ndarray, spacing: Spacing) -> Regions:
    return Regions(pixels.shape, pixels.dtype, spacing, lambda where: pixels[where], is_lazy=False)


def _nifti(path: Path, kind: str, scratch: Path) -> Regions:
    """A volume whose file is mapped; a compressed one, which can only be read from its beginning, is unpacked before.

    Values that the header scales become floats of 32 bit.
    """
    image = open_nifti(path)
    if kind == "nii.gz":
        unpacked = scratch / "unpacked.nii"
        if not unpacked.exists():
            logger.info("%s: unpacked to %s, to be read in parts", path, unpacked)
            try:
                with gzip.open(path) as source, replacing(unpacked) as partial, partial.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 22)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise unreadable(path, error) from error
        image = open_nifti(unpacked)
    voxels, num_further = image.dataobj, len(image.shape) - 3
    if num_further < 0:
        raise InputError(f"{path}: a single slice, expected a volume")

    def read(where: tuple[slice, ...]) -> np.ndarray:
        part = np.asanyarray(voxels[(*where[::-1], *[0] * num_further)]).T
        return part.astype(np.float32) if part.dtype == np.float64 else part

    affine, blaming = np.asarray(image.affine), _blaming(path, read)
    x, y, z = (float(step) for step in voxel_sizes(affine))
    return Regions(image.shape[2::-1], blaming((slice(0, 1),) * 3).dtype, (z, y, x), blaming, affine)


def _blaming(path: Path, reader: Read) -> Read:
    """Turn whatever a reader raises into an InputError that names the file, and check what it gives."""

    def read(where: tuple[slice, ...]) -> np.ndarray:
        try:
            pixels = reader(where)
        except InputError:
            raise
        except Exception as error:  # a damaged file makes the readers raise almost anything
            raise InputError(
                f"{path}: pixels cannot be read ({one_line(error)}); it may be damaged or cut short, copy or export it "
                "again"
            ) from error
        expected = tuple(one.stop - one.start for one in where)
        if pixels.shape != expected:
            raise InputError(f"{path}: pixels {pixels.shape}, expected {expected}; export it as gray")
        return pixels

    return read
