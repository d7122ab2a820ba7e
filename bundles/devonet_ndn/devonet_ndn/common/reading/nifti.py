"""NIfTI volumes: what the header claims is checked before a voxel is decoded; place and spacing are the affine's."""

import gzip
import io
import logging
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ..errors import InputError
from .formats import NIFTI_1, NIFTI_HEADER_BYTES, identify, no_such_file
from .grids import turn_onto
from .units import LARGEST_UM, SMALLEST_UM

__all__ = [
    "NIFTI_SUFFIXES",
    "UNREADABLE",
    "check_nifti",
    "decoded_size",
    "open_nifti",
    "read_plane",
    "read_spacing",
    "read_volume",
    "read_volume_onto",
    "spacing_of",
    "unreadable",
]

NIFTI_SUFFIXES = (".nii.gz", ".nii")
FREE_BYTES = 64 << 20  # a claim up to here costs nothing worth a check
UNITS = {1: ("metres", 1e6), 2: ("millimetres", 1e3)}  # codes of others than µm
MOST_BEHIND = 1 << 20  # bytes behind the voxels, of what some programs add
FLATTEST = 1e-3  # volume that the axes span, each of length 1
LARGEST_RATIO = 1_040  # of what deflate makes of a byte
# what nibabel raises for no NIfTI, an empty file, a truncated one, damaged compression, and colours
UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    OSError,
    EOFError,
    zlib.error,
    TypeError,
    ValueError,
    OverflowError,
)

nib.imageglobals.logger.setLevel(logging.ERROR)  # what it puts right is no news to a user
_open_gzip, _arguments = ImageOpener.compress_ext_map[".gz"]


class _CheckedGzip(gzip.GzipFile):
    """Reads on behind the voxels to the checksum, which nibabel never sees: three of four damaged files look whole."""

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        if len(self.read(MOST_BEHIND)) == MOST_BEHIND:
            raise gzip.BadGzipFile("its data go on behind the voxels")
        return count


def _open_checked(filename: str, mode: Any = "rb", *further: Any, **options: Any) -> io.IOBase:
    return _CheckedGzip(filename, mode) if mode in ("r", "rb") else _open_gzip(filename, mode, *further, **options)


ImageOpener.compress_ext_map[".gz"] = _open_checked, _arguments


def unreadable(path: str | PathLike[str], reason: object) -> InputError:
    """The error of a file that is no gray volume."""
    text = " ".join(str(reason).split())
    return InputError(f"{path}: cannot be read as a gray volume ({text}); it may be damaged, copy or convert it again")


def check_nifti(path: str | PathLike[str]) -> nib.Nifti1Header:
    """Header of a NIfTI file whose claims its bytes can hold.

    Parameters
    ----------
    path : path
        Whatever its name.

    Returns
    -------
    nibabel.Nifti1Header
        Or that of NIfTI-2.

    Raises
    ------
    InputError
        If it is none, holds colours or complex numbers, or claims another number of voxels than it can hold.
    """
    try:
        kind = identify(path)
        if kind not in ("nii", "nii.gz"):
            raise unreadable(path, "no NIfTI header")
        with (gzip.open if kind == "nii.gz" else open)(path, "rb") as file:
            start = file.read(NIFTI_HEADER_BYTES)
        reader = nib.Nifti1Header if start[344:348] in NIFTI_1 else nib.Nifti2Header
        header = reader.from_fileobj(io.BytesIO(start))  # nibabel's own opening goes by the file's name
        shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), float(header["vox_offset"])
        told = reader.from_fileobj(io.BytesIO(start), check=False)["pixdim"]
        for axis, length in enumerate(shape[:3], start=1):
            if length > 1 and told[axis] == 0:
                header["pixdim"][axis] = 0  # of which nibabel makes 1
    except FileNotFoundError as error:
        raise no_such_file(path) from error
    except InputError:
        raise
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    if dtype.fields is not None or dtype.kind == "c":
        raise unreadable(path, f"voxels are {'colours' if dtype.fields else dtype}")
    if not shape or min(shape) < 1 or not offset >= reader.single_vox_offset:
        raise unreadable(path, f"shape {tuple(int(side) for side in shape)}, first voxel at byte {offset:g}")
    claimed = math.prod(int(side) for side in shape) * dtype.itemsize
    size = Path(path).stat().st_size
    if kind == "nii" and offset + claimed > size:
        raise unreadable(path, f"truncated, {size} bytes found, voxels reach to byte {offset + claimed:.0f}")
    if claimed > FREE_BYTES + LARGEST_RATIO * size:
        raise unreadable(path, f"{size} bytes cannot be {claimed} bytes of voxels")
    return header


def decoded_size(path: str | PathLike[str]) -> tuple[int, int]:
    """Number of voxels in the header, and their bytes; InputError as `check_nifti`."""
    header = check_nifti(path)
    num_voxels = math.prod(int(side) for side in header.get_data_shape())
    return num_voxels, num_voxels * header.get_data_dtype().itemsize


def open_nifti(path: str | PathLike[str]) -> nib.Nifti1Image:
    """A volume of which no voxel is decoded yet, for its orientation or its header; InputError as `read_volume`."""
    check_nifti(path)
    try:
        image = cast(nib.Nifti1Image, nib.load(path))
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    if len(image.shape) < 2 or math.prod(image.shape[3:]) != 1:
        raise InputError(f"{path}: {len(image.shape)} dimensions {image.shape}, expected a volume of three")
    return image


def read_volume(path: str | PathLike[str]) -> np.ndarray:
    """Voxels of a volume.

    Parameters
    ----------
    path : path
        NIfTI file; axes of length 1 behind the third, as some programs write them, are left out. One of two axes is
        a single slice.

    Returns
    -------
    ndarray, shape (Z, Y, X)
        In the file's own type, or as floats where it scales them.

    Raises
    ------
    InputError
        As `check_nifti`, or if it is no volume of three axes.
    """
    image = open_nifti(path)
    try:
        voxels = np.asanyarray(image.dataobj)
    except (*UNREADABLE, MemoryError) as error:
        raise unreadable(path, error) from error
    return voxels.reshape((*image.shape, 1)[:3]).T


def read_volume_onto(path: str | PathLike[str], image: str | PathLike[str], what: str = "the label") -> np.ndarray:
    """Voxels of a volume on the grid of the image that it belongs to, by what the headers of both say.

    Parameters
    ----------
    path, image : path
        NIfTI files.
    what : str
        What the volume is, for messages.

    Returns
    -------
    ndarray, shape (Z, Y, X)
        Axes in another order or direction are turned.

    Raises
    ------
    InputError
        As `read_volume`, if an affine says no place, or if the volume lies elsewhere than the image.
    """
    own, other = open_nifti(path), open_nifti(image)
    _steps(path, own.affine), _steps(image, other.affine)
    shape, image_shape = ((*one.shape, 1)[:3] for one in (own, other))
    says_where = bool(own.header["sform_code"]) or bool(own.header["qform_code"])
    turn = turn_onto(str(path), what, shape, own.affine, image_shape, other.affine, says_where=says_where)
    voxels = read_volume(path)
    if turn is None:
        return voxels
    order, flipped = turn
    return np.flip(voxels.T.transpose(order), flipped).T


def read_plane(path: str | PathLike[str], z: int) -> np.ndarray:
    """Slice (Y, X) of a volume, the others not decoded where the file is not compressed; else as `read_volume`."""
    image = open_nifti(path)
    try:
        return np.asanyarray(image.dataobj[(slice(None), slice(None), z, 0, 0, 0, 0)[: len(image.shape)]]).T
    except (*UNREADABLE, MemoryError) as error:
        raise unreadable(path, error) from error


def read_spacing(path: str | PathLike[str]) -> tuple[float, float, float]:
    """Spacing of a volume along (Z, Y, X); InputError as `check_nifti` and `spacing_of`."""
    return spacing_of(path, check_nifti(path))


def spacing_of(path: str | PathLike[str], header: nib.Nifti1Header) -> tuple[float, float, float]:
    """Spacing along (Z, Y, X), from the affine: the sform where there is one, whatever pixdim says.

    Numbers are taken for µm, as many programs say millimetres whatever they write. InputError if it is not above 0,
    says no place for a voxel, is that of axes in one direction, or is a microscope's in millimetres.
    """
    try:
        affine = header.get_best_affine()
    except UNREADABLE as error:  # such as a quaternion that is none
        raise unreadable(path, error) from error
    z, y, x = _steps(path, affine)
    name, factor = UNITS.get(int(header["xyzt_units"]) & 7, ("", 0.0))
    if all(SMALLEST_UM <= step * factor <= LARGEST_UM for step in (z, y, x)):
        found = " x ".join(f"{step * factor:.3g}" for step in (z, y, x))
        raise InputError(
            f"{path}: its header says {name}, by which its voxels are {found} um (Z, Y, X); write the spacing in "
            "micrometres into the header, and micron as its unit"
        )
    return z, y, x


def _steps(path: str | PathLike[str], affine: np.ndarray) -> tuple[float, float, float]:
    """Spacing along (Z, Y, X); InputError where an affine says no place for a voxel."""
    with np.errstate(all="ignore"):  # numbers that are none are refused in words
        z, y, x = (float(step) for step in voxel_sizes(affine)[::-1])
    if not np.isfinite(affine).all() or not all(0 < step < np.finfo(np.float32).max for step in (z, y, x)):
        raise InputError(f"{path}: spacing {(z, y, x)} in its header, expected numbers above 0; convert it again")
    if abs(np.linalg.det(affine[:3, :3] / (x, y, z))) < FLATTEST:
        raise InputError(f"{path}: by its header two of its axes lie in one direction; convert it again")
    return z, y, x
