"""The table of crypts against scikit-image's measures of the whole mask."""

import numpy as np
import pytest
from crypt_unet.common.tables import write_table
from crypt_unet.crypts import Crypt, find_crypts, paint
from crypt_unet.saving import PLACE_DIGITS
from crypt_unet.tables import COLUMNS, UM_COLUMNS, measure_crypts
from skimage.draw import ellipse
from skimage.measure import label, regionprops

from tests.tables import read_rows


def slanted(degrees: float) -> Crypt:
    """An ellipse whose major axis points up from the x axis by an angle, as seen on the screen."""
    mask = np.zeros((121, 121), bool)
    mask[ellipse(60, 60, 20, 50, rotation=np.deg2rad(degrees))] = True
    return find_crypts(mask.astype(np.float32), mask.shape, 1, min_area=0)[0]


def test_measured_in_the_crop_as_in_the_whole_mask():
    probability = np.zeros((80, 90), np.float32)
    probability[5:20, 7:40], probability[30:70, 50:60], probability[75:, 80:] = 1, 1, 1
    crypts = find_crypts(probability, (240, 270), 3, min_area=0)
    columns, rows = measure_crypts(crypts)
    regions = regionprops(label(paint(crypts, 0, 0, 240, 270)))
    assert columns == COLUMNS
    assert len(rows) == len(regions) == 3
    for number, (row, region) in enumerate(zip(rows, regions, strict=True), start=1):
        y, x = region.centroid
        axes = region.axis_major_length, region.axis_minor_length
        assert row[:6] == pytest.approx((number, y, x, region.area, *axes))


@pytest.mark.parametrize("degrees", [0, 30, 90, 135, 179])
def test_orientation_is_counted_from_the_x_axis_counter_clockwise(degrees):
    _, [row] = measure_crypts([slanted(degrees)])
    assert (row[-1] - degrees + 90) % 180 - 90 == pytest.approx(0, abs=0.5)
    assert 0 <= row[-1] < 180


def test_micrometres_come_with_the_size_of_pixels():
    crypt = Crypt(10, 20, np.ones((4, 8), bool))
    columns, [row] = measure_crypts([crypt], 0.5)
    assert columns == COLUMNS + UM_COLUMNS
    values = dict(zip(columns, row, strict=True))
    assert [values[name] for name in ("y", "x", "area")] == [11.5, 23.5, 32]
    assert [values[name] for name in ("y_um", "x_um", "area_um2")] == [5.75, 11.75, 8]
    assert values["major_axis_um"] == pytest.approx(values["major_axis"] / 2)
    assert values["minor_axis_um"] == pytest.approx(values["minor_axis"] / 2)
    assert measure_crypts([crypt], 0)[0] == COLUMNS


def test_places_on_large_slides_keep_their_digits(tmp_path):
    write_table(tmp_path / "a.csv", *measure_crypts([Crypt(123456, 9, np.ones((3, 3), bool))]), digits=PLACE_DIGITS)
    header, row = read_rows(tmp_path / "a.csv")
    assert header == list(COLUMNS)
    assert row[:4] == ["1", "123457", "10", "9"]
