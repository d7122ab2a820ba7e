"""Lengths in micrometres, however a microscope's software spells the unit."""

import math
import re
from typing import Any

__all__ = ["LARGEST_UM", "SMALLEST_UM", "length_um"]

SMALLEST_UM, LARGEST_UM = 0.01, 100.0  # of the voxels of a light microscope

_UNITS_UM = {
    1e-4: ("å", "angstrom", "angstroms"),
    1e-3: ("nm", "nanometer", "nanometers", "nanometre", "nanometres"),
    1.0: ("um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"),
    1e3: ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    1e4: ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    25400.0: ("in", "inch", "inches"),
    1e6: ("m", "meter", "meters", "metre", "metres"),
}
_UM = {name: factor for factor, names in _UNITS_UM.items() for name in names}
_MICRO = ("âµ", "µ", "μ")  # UTF-8 that was read as Latin-1, micro sign, Greek letter
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})", re.IGNORECASE)  # as ImageJ writes them


def length_um(value: Any, unit: object) -> float | None:
    """A length in µm.

    Parameters
    ----------
    value : object
        A number, or text that is one.
    unit : object
        Its unit, abbreviated or in full, in capitals or not.

    Returns
    -------
    float or None
        None where the value is no number above 0, or the unit is none of length.

    Examples
    --------
    >>> length_um("800", "nm")
    0.8
    >>> length_um(2, "pixel") is None
    True
    """
    name = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(unit)).strip().lower()
    for micro in _MICRO:
        name = name.replace(micro, "u")
    try:
        length = float(value) * _UM[name]
    except (TypeError, ValueError, KeyError):
        return None
    return length if 0 < length < math.inf else None
