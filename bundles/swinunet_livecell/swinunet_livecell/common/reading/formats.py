"""The format of a file, recognised by its first bytes."""

import errno
import io
import zlib
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

__all__ = ["NIFTI_1", "NIFTI_HEADER_BYTES", "find_foreign", "identify", "no_such_file", "open_file"]

NIFTI_HEADER_BYTES = 540  # of NIfTI-2, the longer one
NIFTI_1, NIFTI_2 = (b"n+1\0",), (b"n+2\0",)  # in one file; the pair of .hdr and .img is not taken
_GZIP = b"\x1f\x8b"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
# near the end of what Nikon wrote before 2011, JPEG 2000 of several images
_OLD_ND2, _OLD_ND2_BYTES = b"LABORATORY IMAGING ND BOX MAP 00", 40
# what people have and nothing here reads: where its first bytes stand, these, what it is, and what to do with it
_EXPORT = "save it as OME-TIFF, such as with Fiji"
_FOREIGN = (
    (0, b"\x89HDF\r\n\x1a\n", "HDF5, such as Imaris' IMS", _EXPORT),
    (128, b"DICM", "DICOM", _EXPORT),
    (208, b"MAP ", "MRC", _EXPORT),
    (344, b"ni1\0", "NIfTI in two files", "save it as one, .nii or .nii.gz"),
    (0, b"NRRD", "NRRD", _EXPORT),
    (0, b"ObjectType = ", "MetaImage", _EXPORT),
    (0, b"OLYMPUSRAWFORMAT", "Olympus' OIR", _EXPORT),
    (96, b"\xa0\xc0", "DeltaVision", _EXPORT),
    (0, b"\0\0\0\3", "Gatan's DM3", _EXPORT),
    (0, b"\0\0\0\4", "Gatan's DM4", _EXPORT),
    (0, b"\x93NUMPY", "an array of NumPy", "write it with tifffile"),
    (0, b"RIFF", "WebP or a film", "save each image as PNG or TIFF"),
    (0, b"GIF8", "GIF", "save each image as PNG or TIFF"),
    (0, b"%PDF", "PDF", "save the image itself as PNG or TIFF"),
    (0, b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: git lfs pull"),
    (0, b"<!DOCTYPE", "a web page", "download the file itself"),
    (0, b"<html", "a web page", "download the file itself"),
)
# what our results and other programs write beside images, by its name
_BESIDE = {
    (".csv", ".tsv", ".xlsx"): "a table",
    (".geojson", ".json", ".roi", ".roi.zip"): "outlines or settings",
}
_PICTURES = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "bmp": b"BM"}


def identify(path: str | PathLike[str]) -> str | None:
    """Format of a file by its first bytes, whatever its name.

    Returns
    -------
    {"png", "jpeg", "bmp", "jp2", "tiff", "nii", "nii.gz"} or None
        None for anything else.
    """
    with open_file(path) as file:
        start = file.read(NIFTI_HEADER_BYTES)
        if start.startswith(_JPEG_2000):
            file.seek(max(file.seek(0, io.SEEK_END) - _OLD_ND2_BYTES, 0))
            return None if file.read().startswith(_OLD_ND2) else "jp2"
    if start.startswith(_GZIP):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, NIFTI_HEADER_BYTES)
        except zlib.error:
            return None
        return "nii.gz" if _is_nifti(start) else None
    if _is_nifti(start):
        return "nii"
    if start[:4] in _TIFF:
        return None if _is_overview(path) else "tiff"
    return next((kind for kind, magic in _PICTURES.items() if start.startswith(magic)), None)


def find_foreign(path: str | PathLike[str]) -> str:
    """What a file is that no reader here takes, and what to do with it, in words; empty where that is not known."""
    if _is_overview(path):
        return f"Olympus' VSI, a TIFF of an overview only, its pixels are in the folder beside it; {_EXPORT} or QuPath"
    for endings, name in _BESIDE.items():
        if Path(path).name.lower().endswith(endings):
            return f"{name}, no image; give the image, or of a result the mask or the labels"
    with open_file(path) as file:
        start = file.read(NIFTI_HEADER_BYTES)
    found = (
        f"{name}, which is not read; {advice}"
        for place, magic, name, advice in _FOREIGN
        if start[place:].startswith(magic)
    )
    return next(found, "")


def open_file(path: str | PathLike[str]) -> BinaryIO:
    """A file to read from; FileNotFoundError also where links lead round in a circle."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, error.strerror, f"{path}") from error
        raise


def no_such_file(path: str | PathLike[str], advice: str = "convert the data again") -> InputError:
    """The error of a file that is not there; of a link to one, as git-annex and DataLad leave them, with its target."""
    if Path(path).is_symlink():
        target = Path(path).readlink()
        return InputError(f"{path}: a link to {target}, which is not there; fetch it, such as with datalad get")
    return InputError(f"{path}: no such file; {advice}")


def _is_nifti(start: bytes) -> bool:
    return start[344:348] in NIFTI_1 or start[4:8] in NIFTI_2


def _is_overview(path: str | PathLike[str]) -> bool:
    return Path(path).suffix.lower() == ".vsi"
