"""Images are padded below and beside, by their last row and column."""

import torch

from common.networks.padding import pad_to_multiple, repeat_border


def test_sides_are_multiples_and_the_last_row_and_column_repeat():
    image = torch.arange(30.0).reshape(1, 1, 5, 6)
    padded = pad_to_multiple(image, 4)
    assert padded.shape == (1, 1, 8, 8)
    assert torch.equal(padded[..., :5, :6], image)
    assert (padded[0, 0, 4:, :6] == image[0, 0, 4]).all() and (padded[0, 0, :5, 6:] == image[0, 0, :, -1:]).all()


def test_what_fits_stays_as_it_is():
    image = torch.zeros(1, 1, 8, 4)
    assert pad_to_multiple(image, 4) is image and repeat_border(image, 0, 0) is image
