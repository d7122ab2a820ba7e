"""The format of a file, recognised by its first bytes."""

import io
import zlib
from os import PathLike
from pathlib import Path

from ..errors import InputError

__all__ = ["NIFTI_1", "NIFTI_HEADER_BYTES", "identify", "no_such_file"]

NIFTI_HEADER_BYTES = 540  # of NIfTI-2, the longer one
NIFTI_1, NIFTI_2 = (b"n+1\0",), (b"n+2\0",)  # in one file; the pair of .hdr and .img is not taken
_GZIP = b"\x1f\x8b"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
# near the end of what Nikon wrote before 2011, JPEG 2000 of several images
_OLD_ND2, _OLD_ND2_BYTES = b"LABORATORY IMAGING ND BOX MAP 00", 40
_PICTURES = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "bmp": b"BM"}


def identify(path: str | PathLike[str]) -> str | None:
    """Format of a file by its first bytes, whatever its name.

    Returns
    -------
    {"png", "jpeg", "bmp", "jp2", "tiff", "nii", "nii.gz"} or None
        None for anything else.
    """
    with Path(path).open("rb") as file:
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
        return "tiff"
    return next((kind for kind, magic in _PICTURES.items() if start.startswith(magic)), None)


def no_such_file(path: str | PathLike[str], advice: str = "convert the data again") -> InputError:
    """The error of a file that is not there; of a link to one, as git-annex and DataLad leave them, with its target."""
    if Path(path).is_symlink():
        target = Path(path).readlink()
        return InputError(f"{path}: a link to {target}, which is not there; fetch it, such as with datalad get")
    return InputError(f"{path}: no such file; {advice}")


def _is_nifti(start: bytes) -> bool:
    return start[344:348] in NIFTI_1 or start[4:8] in NIFTI_2
