"""Files from strangers: whether they are images, and not too large."""

from __future__ import annotations

import gzip
import io
import math
import warnings
from http import HTTPStatus
from pathlib import Path

import nibabel as nib
import tifffile
from PIL import Image

from tools.segment.description import Description
from tools.segment.inputs import NIFTI_1, NIFTI_HEADER_BYTES, UNREADABLE, identify, one_line
from tools.serve.failures import Failure
from tools.serve.limits import Limits

__all__ = ["check_upload"]


def check_upload(path: Path, bundle: Description, limits: Limits) -> None:
    """Refuse a file by what its header tells, before a pixel of it is decoded.

    Parameters
    ----------
    path : Path
    bundle : Description
        That shall segment it.
    limits : Limits

    Raises
    ------
    Failure
        413 if it is too large, 415 if it is no image, 422 if it is none that the bundle takes.
    """
    if path.stat().st_size > limits.max_upload_bytes:
        raise Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a file of {path.stat().st_size} bytes, expected at most {limits.max_upload_bytes}; crop it",
        )
    kind = identify(path)
    if kind is None:
        raise Failure(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not an image; send PNG, JPEG, TIFF or NIfTI (.nii, .nii.gz)")
    is_nifti = kind.startswith("nii")
    if bundle.num_axes == 2 and is_nifti:
        raise Failure(422, f"a NIfTI volume, but {bundle.name} takes images of two axes; send PNG, JPEG or TIFF")
    if bundle.num_axes == 3 and kind in ("png", "jpeg"):
        raise Failure(
            422, f"one {kind.upper()} picture, but {bundle.name} takes volumes; send a TIFF of several pages, or NIfTI"
        )
    try:
        num_pixels = _count_pixels(path, kind)
    except UNREADABLE as error:
        raise Failure(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"begins as {kind} but cannot be read ({one_line(error)}); it may be damaged, export it again",
        ) from error
    if num_pixels > limits.max_pixels:
        raise Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"an image of {num_pixels} values, expected at most {limits.max_pixels}; crop it",
        )


def _count_pixels(path: Path, kind: str) -> int:
    if kind.startswith("nii"):
        with (gzip.open if kind == "nii.gz" else open)(path, "rb") as file:
            start = file.read(NIFTI_HEADER_BYTES)
        reader = nib.Nifti1Header if start[344:348] in NIFTI_1 else nib.Nifti2Header
        header = reader.from_fileobj(io.BytesIO(start))  # nibabel's own opening goes by the file's name
        return math.prod(int(size) for size in header.get_data_shape())
    if kind == "tiff":
        with tifffile.TiffFile(path, _multifile=False) as tiff:
            in_pages = sum(math.prod(page.shape) for page in tiff.pages)
            return max(in_pages, math.prod(tiff.series[0].shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                return math.prod(image.size) * len(image.getbands())
        except Image.DecompressionBombError as error:
            raise Failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{one_line(error)}; crop it") from error
