"""Pictures of slides: size, place of the outlines, and the truth beside them."""

import numpy as np
import pytest
from crypt_unet.crypts import Crypt
from crypt_unet.thumbnail import CRYPT_COLOUR, TRUTH_COLOUR, draw_thumbnail

GRAY = 150


def image(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GRAY, np.uint8)


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((picture == colour).all(axis=-1))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((300, 400), (75, 100)), ((400, 300), (100, 75)), ((60, 40), (60, 40)), ((1, 900), (1, 100))],
)
def test_never_larger_than_asked_and_never_enlarged(shape, expected):
    picture = draw_thumbnail(image(*shape), [], 4, max_size=100)
    assert picture.shape == (*expected, 3) and picture.dtype == np.uint8
    assert (picture == GRAY).all()


def test_outlines_lie_around_the_crypt_at_the_scale_of_the_picture():
    crypt = Crypt(160, 240, np.ones((320, 400), bool))  # slide pixels; 8 to a working pixel, 2 of those to a drawn one
    drawn = pixels_of(draw_thumbnail(image(200, 200), [crypt], 8, max_size=100), CRYPT_COLOUR)
    np.testing.assert_allclose(drawn.min(axis=0), (10, 15), atol=1.5)
    np.testing.assert_allclose(drawn.max(axis=0), (30, 40), atol=1.5)
    assert not ((drawn > (14, 19)) & (drawn < (26, 36))).all(axis=1).any()


def test_truth_is_outlined_too_and_the_plain_slide_stands_beside():
    crypts, truth = [Crypt(20, 20, np.ones((20, 20), bool))], [Crypt(50, 50, np.ones((30, 30), bool))]
    picture = draw_thumbnail(image(100, 100), crypts, 1, max_size=180, truth=truth)
    assert picture.shape == (88, 180, 3)
    assert (picture[:, :88] == GRAY).all()
    assert pixels_of(picture, CRYPT_COLOUR)[:, 1].min() > 92
    assert pixels_of(picture, TRUTH_COLOUR)[:, 1].min() > 92


def test_no_crypt_in_the_truth_is_drawn_beside_all_the_same():
    assert draw_thumbnail(image(10, 10), [], 1, truth=[]).shape == (10, 24, 3)
