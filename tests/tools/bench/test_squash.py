"""What is left of a mask that was resized and resized back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from tools.bench.squash import compare_ceilings, read_foreground, squash_and_back


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_whole_factors_keep_blocks(mode):
    mask = np.kron(np.random.default_rng(0).random((4, 5)) < 0.5, np.ones((2, 3), bool)).astype(bool)
    np.testing.assert_array_equal(squash_and_back(mask, (4, 5), mode=mode), mask)


def test_nearest_takes_the_upper_left_pixel_and_nearest_exact_the_middle_one():
    mask = np.zeros((3, 9), bool)
    mask[0, 3], mask[1, 7] = True, True
    left, middle = (squash_and_back(mask, (1, 3), mode=mode) for mode in ("nearest", "nearest-exact"))
    assert left[:, 3:6].all() and left.sum() == 9
    assert middle[:, 6:].all() and middle.sum() == 9


def test_rows_hold_the_mean_over_labelled_items(tmp_path):
    labels = np.zeros((8, 8), np.uint16)
    labels[::2, ::2] = 300
    Image.fromarray(labels).save(tmp_path / "sparse.png")  # every block's upper left pixel: IoU 1/4 in mode nearest
    Image.fromarray(np.full((8, 8), 2, np.uint16)).save(tmp_path / "full.png")
    items = [{"label": tmp_path / "sparse.png"}, {"image": tmp_path}, {"label": tmp_path / "full.png"}]
    nearest, exact = compare_ceilings(items, (4, 4))
    assert nearest.what == "truth resized to 4 x 4 and back, nearest: mean IoU, n = 2"
    assert (nearest.ours, nearest.other, nearest.ratio) == ("1.0000", "0.6250", "+0.3750")
    assert "nearest-exact" in exact.what and exact.other == "0.5000"


def test_without_labels_there_are_no_rows(tmp_path):
    assert compare_ceilings([{"image": tmp_path}], (4, 4)) == []


def test_broken_label_is_told(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(InputError, match=r"a\.png: cannot be read"):
        read_foreground(tmp_path / "a.png")
