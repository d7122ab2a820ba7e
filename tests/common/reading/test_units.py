"""Units of length are understood however they are spelled."""

import pytest

from common.reading.units import length_um


@pytest.mark.parametrize("unit", ["um", "µm", "μm", "\\u00B5m", "Âµm", "micron", "microns", "Micrometer", " um "])
def test_a_micrometre_has_many_names(unit):
    assert length_um("0.8", unit) == 0.8


@pytest.mark.parametrize(
    ("unit", "expected"), [("nm", 0.0008), ("mm", 800), ("cm", 8000), ("inch", 20320), ("Å", 8e-5), ("\\u00C5", 8e-5)]
)
def test_other_units(unit, expected):
    assert length_um(0.8, unit) == pytest.approx(expected)


NO_LENGTHS = [(1, "pixel"), (1, ""), (1, None), (None, "um"), ("x", "um"), (0, "um"), (-1, "um")]


@pytest.mark.parametrize(("value", "unit"), NO_LENGTHS)
def test_what_is_no_length(value, unit):
    assert length_um(value, unit) is None
