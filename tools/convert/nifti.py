"""NIfTI volumes with voxel spacing in micrometres."""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import InputError
from common.files import replacing
from common.reading.nifti import check_nifti

__all__ = ["is_whole", "write_volume"]

CHUNK_BYTES = 1 << 22


def write_volume(path: Path, volume: np.ndarray, spacing: tuple[float, float, float], *, description: str = "") -> None:
    """Write a volume as NIfTI, axes (X, Y, Z) on disk, under a temporary name that is then renamed.

    Parameters
    ----------
    path : Path
        File to write or replace, ending in ``.nii.gz``.
    volume : ndarray, shape (Z, Y, X)
        Any dtype of NIfTI; it is kept.
    spacing : tuple of float
        Voxel spacing in µm as (Z, Y, X).
    description : str
        Text for the header, at most 79 bytes.
    """
    image = nib.Nifti1Image(volume.transpose(2, 1, 0), np.diag([*spacing[::-1], 1.0]), dtype=volume.dtype)
    image.header.set_xyzt_units("micron")
    image.header["descrip"] = description.encode()
    with replacing(path) as partial:
        nib.save(image, partial)


def is_whole(
    path: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float], *, description: str = ""
) -> bool:
    """Whether `write_volume` has finished writing this very volume; the stream is read to its end, in pieces.

    False if the file is missing, truncated, corrupt, or a different volume.
    """
    try:
        header = check_nifti(path)
        same = header.get_data_shape() == shape[::-1] and header["descrip"].item() == description.encode()
        same = same and np.allclose(header.get_zooms(), spacing[::-1], rtol=1e-6, atol=0)
        num_bytes = int(header["vox_offset"]) + int(np.prod(shape)) * header.get_data_dtype().itemsize
        return same and _unpacked_size(path) == num_bytes
    except (InputError, OSError, EOFError, zlib.error):
        return False


def _unpacked_size(path: Path) -> int:
    """Number of bytes in a gzip stream, which must end with the right checksum."""
    size = 0
    with gzip.open(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
    return size
