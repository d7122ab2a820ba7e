"""A voxel spacing is three positive numbers, or a message that says so."""

import pytest

from common.errors import InputError
from tools.convert.spacing import check_spacing, parse_spacing


@pytest.mark.parametrize("text", ["2.0,0.8,0.7", "(2, 0.8, 0.7)", " 2,.8,7e-1 "])
def test_three_numbers_in_order(text):
    assert parse_spacing(text) == (2.0, 0.8, 0.7)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "spacing missing"),
        ("1,0,1", "not positive and finite"),
        ("1,-1,1", "not positive and finite"),
        ("1,nan,1", "not positive and finite"),
        ("inf,1,1", "not positive and finite"),
        ("2000,800,800", "no light microscope's"),
        ("0.002,0.0008,0.0008", "no light microscope's"),
        ("1,1", "has 2 numbers instead of three"),
        ("1,1,1,1", "has 4 numbers instead of three"),
        ("1,one,1", "not made of numbers"),
        ("", "not made of numbers"),
        ("1,,1", "not made of numbers"),
    ],
)
def test_anything_else_is_refused_with_an_example(text, found):
    with pytest.raises(InputError, match=rf"{found}.*such as 2.0,0.8,0.8"):
        parse_spacing(text)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "gives no voxel size"),
        ((None, 0.5, 0.5), "gives no voxel size"),
        ((50800.0, 12700.0, 12700.0), "gives a voxel size of 50800 x 12700 x 12700 um .* is 0.01 to 100.0 um"),
    ],
)
def test_what_a_file_gives_is_refused_with_its_name(told, reason):
    with pytest.raises(InputError, match=f"a.tif: {reason}; give the spacing .* --spacing 2.0,0.8,0.8"):
        check_spacing("a.tif", told)
    assert check_spacing("a.tif", (2.0, 0.5, 0.5)) == (2.0, 0.5, 0.5)


@pytest.mark.parametrize(("text", "is_told"), [("0.8,0.8,2", True), ("2,0.8,0.8", False), ("1,1,1", False)])
def test_an_order_that_is_rather_x_y_z_is_told(caplog, text, is_told):
    parse_spacing(text)
    assert ("was it X,Y,Z?" in caplog.text) == is_told
