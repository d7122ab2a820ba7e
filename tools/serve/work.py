"""How many bytes it takes to segment an image, told from its header before a pixel is decoded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from common.reading import nifti, pictures, tiff
from common.reading.formats import identify
from tools.convert.spacing import parse_spacing
from tools.segment.description import Description

__all__ = ["bytes_needed"]

# per value at the resolution that a bundle works at, measured: the image and its way there, logits, probabilities
VOLUME_BYTES, PICTURE_BYTES = 48, 16


def bytes_needed(path: Path, bundle: Description, options: Mapping[str, str]) -> int:
    """Bytes for the image as it is decoded, and for the work at the resolution that the bundle works at.

    Parameters
    ----------
    path : Path
        PNG, JPEG, TIFF or NIfTI, whatever its name. Its header is opened with libraries that it may lead astray: only
        where that harms nobody, and under a limit of time.
    bundle : Description
    options : mapping of str to str
        What is said of the image; ``spacing`` goes before the file's own.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If the spacing cannot be used; whatever the readers raise if the header is damaged.
    """
    kind = identify(path) or ""
    read = nifti if kind.startswith("nii") else tiff if kind == "tiff" else pictures
    num_values, num_bytes = read.decoded_size(path)
    if bundle.num_axes == 2:
        return num_bytes + PICTURE_BYTES * num_values
    growth = 1.0
    own = _spacing(path, kind, options.get("spacing"))
    if own and bundle.spacing:
        growth = math.prod(theirs / ours for theirs, ours in zip(own, bundle.spacing, strict=True))
    return num_bytes + math.ceil(VOLUME_BYTES * num_values * growth)


def _spacing(path: Path, kind: str, given: str | None) -> tuple[float, ...] | None:
    if given:
        return parse_spacing(given)
    return nifti.read_spacing(path) if kind.startswith("nii") else tiff.read_spacing(path)
