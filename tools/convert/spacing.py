"""Voxel spacing as it is typed on the command line."""

import logging
import math
from os import PathLike

from common.errors import InputError
from common.reading.units import LARGEST_UM, SMALLEST_UM

__all__ = ["check_spacing", "parse_spacing"]

logger = logging.getLogger(__name__)


def parse_spacing(text: str | None) -> tuple[float, float, float]:
    """Read ``"Z,Y,X"`` in µm, as in ``"2.0,0.8,0.8"``; None stands for a spacing that was not given.

    InputError if it is missing or not three positive, finite numbers of plausible size.
    """
    expected = "expected micrometres per voxel as Z,Y,X, such as 2.0,0.8,0.8"
    if text is None:
        raise InputError(
            f"spacing missing: {expected}; look it up in the microscope's settings or the description of the data"
        )
    shown = repr(text[:50])
    parts = text.strip().strip("()[]").split(",")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError as error:
        raise InputError(f"spacing {shown} is not made of numbers: {expected}") from error
    if len(values) != 3:
        raise InputError(f"spacing {shown} has {len(values)} numbers instead of three: {expected}")
    if not all(math.isfinite(value) and value > 0 for value in values):
        raise InputError(f"spacing {shown} holds a number that is not positive and finite: {expected}")
    if not all(SMALLEST_UM <= value <= LARGEST_UM for value in values):
        raise InputError(f"spacing {shown} is no light microscope's ({SMALLEST_UM} to {LARGEST_UM} um): {expected}")
    if values[0] == values[1] != values[2]:  # pixels are square, and planes as far apart as they are high
        logger.warning("spacing %s: taken as Z,Y,X, so that Z and Y are alike, but not X; was it X,Y,Z?", shown)
    return values


def check_spacing(
    path: str | PathLike[str], spacing: tuple[float | None, float | None, float | None] | None
) -> tuple[float, float, float]:
    """The voxel spacing that a file gives, in µm as (Z, Y, X), where it gives all of it.

    InputError if it gives none, or one of no plausible size.
    """
    wanted = "give the spacing as Z,Y,X in micrometres, for example --spacing 2.0,0.8,0.8"
    z, y, x = spacing or (None, None, None)
    if z is None or y is None or x is None:
        raise InputError(f"{path}: gives no voxel size; {wanted}")
    if not all(SMALLEST_UM <= step <= LARGEST_UM for step in (z, y, x)):
        found = " x ".join(f"{step:g}" for step in (z, y, x))
        raise InputError(
            f"{path}: gives a voxel size of {found} um (Z, Y, X), a light microscope's is {SMALLEST_UM} to "
            f"{LARGEST_UM} um; {wanted}"
        )
    return z, y, x
