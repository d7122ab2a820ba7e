"""Files of users: their kind, by their first bytes, and the form in which a bundle reads them."""

import logging
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
import tifffile
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL import Image

from common.errors import InputError, one_line
from common.reading import nifti
from common.reading.formats import find_foreign, identify
from common.reading.pictures import opaque, read_pixels
from common.reading.tiff import read_header, read_pixel_size, read_spacing, read_volume
from tools.convert.dataset import as_numbers
from tools.convert.nifti import write_volume
from tools.convert.spacing import check_spacing, parse_spacing
from tools.formats.microscopes import maker_of, open_scenes, read
from tools.formats.pictures import STRIP_ROWS, write_picture, write_strips
from tools.formats.scenes import Pick, Spacing, chosen
from tools.segment.description import Description
from tools.segment.results import STEM

__all__ = ["UNREADABLE", "check_header", "check_kind", "prepare_image", "told_pixel_size"]

logger = logging.getLogger(__name__)

SAME = 0.05  # relative difference of two sizes up to which they are the same
MIRAX = ".mrxs"  # begins as the JPEG of a thumbnail
# what the readers raise for files that are damaged, or are not what they begin like
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    SyntaxError,
    struct.error,
    zlib.error,
    MemoryError,
    ImageFileError,
    HeaderDataError,
)


def check_kind(path: Path, bundle: Description) -> str:
    """Kind of a file, as `identify` gives it; InputError if it is no image, or not of the kind that a bundle takes."""
    kind = identify(path)
    if kind is None:
        raise InputError(
            find_foreign(path)
            or "not an image; give PNG, JPEG, TIFF or NIfTI (.nii, .nii.gz), or what a microscope writes: CZI, ND2, "
            "LIF, OIB, OME-Zarr in a zip file"
        )
    if bundle.num_axes == 2 and kind.startswith("nii"):
        raise InputError(f"a NIfTI volume, but {bundle.name} takes 2D images; give PNG, JPEG or TIFF")
    if bundle.num_axes == 3 and kind in ("png", "jpeg", "jp2", "bmp"):
        raise InputError(
            f"one {kind.upper()} picture, but {bundle.name} takes volumes; give a TIFF of several pages, or NIfTI"
        )
    return kind


def check_header(path: Path, bundle: Description, options: Mapping[str, str]) -> None:
    """Refuse a picture where volumes are needed, slices where pictures are, and voxels whose size is not known.

    InputError also as the header is read. What else keeps an image from being used is left to `prepare_image`.
    """
    needs_size = bundle.num_axes == 3 and "spacing" not in options
    if maker_of(path) is not None or Pick.of(options) != Pick():
        with open_scenes(path) as scenes:
            scene = scenes[int(options.get("scene") or 0)]
            axes = "".join(axis for axis in "ZYXS" if axis in "YX" or scene.size(axis) > 1)
            _check_axes(path, axes, scene.size("Z"), bundle)
            if needs_size:
                check_spacing(path, scene.spacing)
    elif path.suffix.lower() != MIRAX:
        kind = _kind_of(path, bundle)
        if needs_size and kind == "tiff" and read_header(path).shape[0] > 1:
            check_spacing(path, read_spacing(path))
        elif needs_size and kind.startswith("nii"):
            check_spacing(path, nifti.read_spacing(path))


def prepare_image(path: Path, bundle: Description, folder: Path, options: Mapping[str, str], stem: str = STEM) -> Path:
    """The image of a user in a folder of its own, in a format that the bundle reads.

    What the bundle reads anyway is linked as it is. JPEG, JPEG 2000, and PNG where a bundle takes TIFF only, are
    decoded as a viewer shows them and written without loss; TIFF volumes and those of microscopes' files become NIfTI.
    A volume has the spacing that is given, else the file's own.

    Parameters
    ----------
    path : Path
        A file of any format that `identify` or `maker_of` knows.
    bundle : Description
    folder : Path
        Empty; it is created.
    options : mapping of str to str
        ``spacing`` is used here, and ``scene``, ``channel`` and ``time`` of a microscope's file.
    stem : str
        Name without ending of the file that is made.

    Raises
    ------
    InputError
        If the pixels cannot be decoded, or a volume's spacing is unknown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spacing = options.get("spacing")
    pick = Pick.of(options)
    if maker_of(path) is not None or pick != Pick():
        return _from_microscope(path, bundle, folder / stem, spacing, pick)
    if path.suffix.lower() == MIRAX and bundle.suffixes[0] == ".tiff":
        return _linked_mirax(path, folder / f"{stem}{MIRAX}")
    kind = _kind_of(path, bundle)
    if bundle.num_axes == 3 and kind == "tiff":
        return _volume_from_tiff(path, bundle, folder / f"{stem}.nii.gz", spacing)
    suffix = ".jpg" if kind == "jpeg" else f".{kind}"
    if suffix in bundle.suffixes:
        target = folder / f"{stem}{suffix}"
        target.symlink_to(path.resolve())
        return _respaced(path, target, spacing) if spacing and bundle.num_axes == 3 else target
    pixels = opaque(path, read_pixels(path))
    target = folder / f"{stem}{bundle.suffixes[0]}"
    if target.suffix == ".png":
        Image.fromarray(pixels).save(target)
    else:
        tifffile.imwrite(target, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    return target


def _kind_of(path: Path, bundle: Description) -> str:
    """As `check_kind`, which leaves the name to who calls it."""
    try:
        return check_kind(path, bundle)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def told_pixel_size(path: Path) -> dict[str, str]:
    """The option ``pixel_size_um`` as OME or ImageJ wrote it; empty without it, or if pixels are not square."""
    size = read_pixel_size(path) if identify(path) == "tiff" else None
    return {"pixel_size_um": f"{size[1]:.6g}"} if size and math.isclose(*size, rel_tol=0.01) else {}


def _chosen_spacing(path: Path, given: str | None, told: Spacing | None) -> Spacing | None:
    """The spacing that is given, else the file's own; a warning where they contradict each other."""
    if not given:
        return told
    wanted = parse_spacing(given)
    _tell_contradiction(path, wanted, told or (None, None, None))
    return wanted


def _tell_contradiction(path: Path, wanted: Spacing, told: Sequence[float | None]) -> None:
    if any(size and own and abs(size / own - 1) > SAME for size, own in zip(told, wanted, strict=True)):
        says = " x ".join("?" if size is None else f"{size:.3g}" for size in told)
        given = ",".join(f"{size:g}" for size in wanted if size)
        logger.warning(
            "%s: its voxels are %s um (Z, Y, X) by the file itself; --spacing %s is taken", path, says, given
        )


def _respaced(path: Path, target: Path, spacing: str) -> Path:
    """A NIfTI volume with another spacing instead of its own; axes and origin stay."""
    wanted = parse_spacing(spacing)
    try:
        volume = cast(nib.Nifti1Image, nib.load(target))
        own = voxel_sizes(volume.affine)
        _tell_contradiction(path, wanted, own[::-1].tolist())
        ratio = np.divide(wanted[::-1], own)
        voxels, affine = np.asanyarray(volume.dataobj), volume.affine @ np.diag([*ratio, 1.0])
        changed = type(volume)(voxels, affine, volume.header, dtype=voxels.dtype)  # floats where its header scales
        changed.header.set_xyzt_units("micron")
        path = target.with_name(f"{target.name.split('.nii')[0]}.nii")
        target.unlink()
        nib.save(changed, path)
    except UNREADABLE as error:
        raise InputError(f"{target.name}: cannot be decoded ({one_line(error)}); export it again") from error
    return path


def _linked_mirax(path: Path, target: Path) -> Path:
    """A slide whose pixels lie in a folder of the same name beside it."""
    target.symlink_to(path.resolve())
    target.with_suffix("").symlink_to(path.resolve().with_suffix(""))
    return target


def _volume_from_tiff(path: Path, bundle: Description, target: Path, spacing: str | None) -> Path:
    volume = read_volume(path)
    if len(volume) == 1:
        raise InputError(f"{path}: one page, but {bundle.name} takes volumes; give a TIFF of several pages, or NIfTI")
    _write_volume(path, target, volume, _chosen_spacing(path, spacing, read_spacing(path)))
    return target


def _from_microscope(path: Path, bundle: Description, target: Path, spacing: str | None, pick: Pick) -> Path:
    """The image that is meant, as NIfTI, or as OME-TIFF with its pixel size."""
    picture = target.with_name(f"{target.name}{next((s for s in bundle.suffixes if s.startswith('.tif')), '')}")
    if bundle.num_axes == 2 and _copy_in_strips(path, picture, pick):
        return picture
    image = read(path, pick)
    _check_axes(path, image.axes, len(image.pixels), bundle)
    if bundle.num_axes == 3:
        target = target.with_name(f"{target.name}.nii")
        _write_volume(path, target, image.pixels, _chosen_spacing(path, spacing, image.spacing))
        return target
    write_picture(picture, image.pixels, image.spacing)
    return picture


def _check_axes(path: Path, axes: str, depth: int, bundle: Description) -> None:
    """Refuse a picture for a bundle that takes volumes, and slices for one that takes pictures."""
    if bundle.num_axes == 3 and axes != "ZYX":
        raise InputError(f"{path}: one picture ({axes}), but {bundle.name} takes gray volumes; give a stack")
    if bundle.num_axes == 2 and axes.startswith("Z"):
        raise InputError(
            f"{path}: {depth} slices, but {bundle.name} takes 2D images; export a projection, or the slice that is in "
            "focus"
        )


def _copy_in_strips(path: Path, target: Path, pick: Pick) -> bool:
    """Write a picture without having all of it in memory, where its format allows that."""
    with open_scenes(path) as scenes:
        scene, time, channel = chosen(path, scenes, pick)
        if scene.window is None or scene.size("Z") > 1:
            return False
        height, width = scene.size("Y"), scene.size("X")
        shape = (height, width, *([scene.size("S")] if scene.size("S") > 1 else []))
        places = ((top, min(top + STRIP_ROWS, height)) for top in range(0, height, STRIP_ROWS))
        window = scene.window
        strips = (window(time, channel, (slice(0, 1), slice(*rows), slice(0, width)))[0] for rows in places)
        write_strips(target, shape, scene.dtype, strips, scene.spacing)
    return True


def _write_volume(path: Path, target: Path, volume: np.ndarray, spacing: Spacing | None) -> None:
    write_volume(target, as_numbers(path, volume), check_spacing(path, spacing))
