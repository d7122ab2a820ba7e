"""Files from strangers: whether they are images, and not too large."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from PIL import Image

from common.errors import InputError
from common.reading import nifti, pictures, tiff
from common.reading.formats import identify
from tools.segment.description import Description
from tools.segment.inputs import UNREADABLE, check_kind, one_line
from tools.serve.failures import Failure
from tools.serve.limits import Limits

__all__ = ["check_pixels", "check_start"]


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
        told = one_line(error).replace(f"{path}: ", "")  # where it lies is nobody's business
        raise Failure(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"begins as {kind} but cannot be read ({told}); it may be damaged, export it again",
        ) from error
    if num_pixels > limits.max_pixels:
        raise Failure(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"an image of {num_pixels} values, expected at most {limits.max_pixels}; crop it",
        )


def _count_pixels(path: Path, kind: str) -> int:
    if kind.startswith("nii"):
        return nifti.count_values(path)
    if kind == "tiff":
        return tiff.count_values(path)
    try:
        return pictures.count_values(path)
    except Image.DecompressionBombError as error:
        raise Failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{one_line(error)}; crop it") from error
