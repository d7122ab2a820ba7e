"""Files from strangers: whether they are images, and not too large."""

from __future__ import annotations

import gzip
import io
import math
import struct
import warnings
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import tifffile
from PIL import Image

from common.errors import InputError
from tools.segment.description import Description
from tools.segment.inputs import NIFTI_1, NIFTI_HEADER_BYTES, UNREADABLE, check_kind, identify, one_line
from tools.serve.failures import Failure
from tools.serve.limits import Limits

__all__ = ["check_chain", "check_pixels", "check_start"]

MAX_PAGES = 100_000


def check_start(path: Path, bundle: Description, limits: Limits) -> None:
    """Refuse a file by its size and its first bytes; nothing of it is decoded, so the server itself may do so.

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
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if identify(path) is None else HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        check_kind(path, bundle)
    except InputError as error:
        raise Failure(status, str(error)) from error


def check_pixels(path: Path, limits: Limits) -> None:
    """Refuse a file by what its header tells, before a pixel of it is decoded.

    The header of a stranger's file is opened with libraries that it may lead astray: only where that harms nobody, and
    under a limit of time.

    Parameters
    ----------
    path : Path
        A file that `check_start` let pass.
    limits : Limits

    Raises
    ------
    Failure
        413 if the image is too large, 415 if it is damaged.
    """
    kind = identify(path)
    try:
        num_pixels = _count_pixels(path, kind or "")
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


def check_chain(path: Path) -> None:
    """Follow the list of a TIFF file's pages to its end, or to where the file ends.

    Raises
    ------
    ValueError
        If it comes back to a page, so that who reads it would never be done, or is longer than any microscope's.
    """
    with path.open("rb") as file:
        start = file.read(16)
        order, is_big = "<" if start[:2] == b"II" else ">", 43 in start[2:4]
        count_as, next_as, entry_bytes = ("Q", "Q", 20) if is_big else ("H", "I", 12)
        offset = struct.unpack_from(order + next_as, start, 8 if is_big else 4)[0]
        seen = set()
        while offset:
            if offset in seen:
                raise ValueError(f"its page {len(seen) + 1} is an earlier one again")
            if len(seen) == MAX_PAGES:
                raise ValueError(f"more than {MAX_PAGES} pages")
            seen.add(offset)
            file.seek(offset)
            count = _unpack(file, order + count_as)
            if count is None:
                return
            file.seek(count * entry_bytes, io.SEEK_CUR)
            offset = _unpack(file, order + next_as)


def _unpack(file: BinaryIO, form: str) -> int | None:
    """A number; None where the file ends."""
    content = file.read(struct.calcsize(form))
    return struct.unpack(form, content)[0] if len(content) == struct.calcsize(form) else None


def _count_pixels(path: Path, kind: str) -> int:
    if kind.startswith("nii"):
        with (gzip.open if kind == "nii.gz" else open)(path, "rb") as file:
            start = file.read(NIFTI_HEADER_BYTES)
        reader = nib.Nifti1Header if start[344:348] in NIFTI_1 else nib.Nifti2Header
        header = reader.from_fileobj(io.BytesIO(start))  # nibabel's own opening goes by the file's name
        return math.prod(int(size) for size in header.get_data_shape())
    if kind == "tiff":
        check_chain(path)
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
