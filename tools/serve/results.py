"""Masks in the format that a client asks for."""

import gzip
import io
import zipfile
from http import HTTPStatus

import nibabel as nib
import numpy as np
from PIL import Image

from tools.formats.labels import save_tiff
from tools.segment.results import STEM, Result, read_mask, renamed
from tools.serve.failures import Failure

__all__ = ["MEDIA_TYPES", "SUFFIXES", "choose_format", "encode"]

MEDIA_TYPES = {"png": "image/png", "tiff": "image/tiff", "nifti": "application/x-nifti", "zip": "application/zip"}
SUFFIXES = {"png": ".png", "tiff": ".tiff", "nifti": ".nii.gz", "zip": ".zip"}
_SYNONYMS = {"tif": "tiff", "nii": "nifti", "nii.gz": "nifti", "application/gzip": "nifti", "image/tif": "tiff"}


def choose_format(wanted: str | None, accept: str | None, num_axes: int) -> str:
    """Format of an answer, one of `MEDIA_TYPES`, by the query's ``format``, or else by the header ``Accept``.

    The default for 2 axes is PNG, for 3 NIfTI. Failure 406 if no wanted format can hold the mask.
    """
    possible = [name for name in MEDIA_TYPES if num_axes == 2 or name != "png"]
    default = "png" if num_axes == 2 else "nifti"
    if wanted:
        choices = [wanted.strip().lower()]
    else:
        ranked = sorted(map(_weighted, (accept or "*/*").split(",")), key=lambda pair: -pair[1])
        choices = [name for name, weight in ranked if weight > 0]
    by_type = {media_type: name for name, media_type in MEDIA_TYPES.items()}
    for choice in choices:
        name = by_type.get(choice, _SYNONYMS.get(choice, choice))
        if name in possible:
            return name
        if not wanted and name in ("*/*", "image/*" if num_axes == 2 else "application/*", "multipart/form-data"):
            return default
    raise Failure(
        HTTPStatus.NOT_ACCEPTABLE,
        f"no mask as {', '.join(choices)[:100]}; a mask of {num_axes} axes can be had as {', '.join(possible)}",
    )


def encode(result: Result, name: str, stem: str = STEM) -> bytes:
    """The mask of a result, or with ``zip`` all of its files, whose names begin with ``stem``, as the bytes of a file.

    Failure 406 if the format, one of `MEDIA_TYPES`, cannot hold the mask's numbers.
    """
    path = result.mask
    if name == "zip":
        return _zipped(result, stem)
    if path.name.endswith(SUFFIXES[name]):
        return path.read_bytes()  # as the bundle wrote it, with all that it knows
    mask, spacing = read_mask(path)
    if mask.dtype.itemsize > 2 and mask.max(initial=0) <= np.iinfo(np.uint16).max:
        mask = mask.astype(np.uint16)  # more programs open it
    if name == "nifti":
        volume = nib.Nifti1Image(np.atleast_3d(mask.T), np.eye(4), dtype=mask.dtype)
        return gzip.compress(volume.to_bytes(), mtime=0)
    buffer = io.BytesIO()
    if name == "tiff":
        save_tiff(buffer, mask, spacing)
    elif mask.dtype.itemsize > 2:
        raise Failure(HTTPStatus.NOT_ACCEPTABLE, "more than 65535 objects, which a PNG cannot hold; ask for tiff")
    else:
        Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()


def _weighted(part: str) -> tuple[str, float]:
    """A media type of an Accept header and its weight."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


def _zipped(result: Result, stem: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in result.files:
            archive.write(path, path.name if result.stem == stem else renamed(path, stem))
    return buffer.getvalue()
