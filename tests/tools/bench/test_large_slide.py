"""A large slide repeats a drawn one, also where its size is no multiple of it."""

from __future__ import annotations

import numpy as np
import tifffile

from tools.bench.large_slide import write_large_slide
from tools.sample.tissue import PIXEL_SIZE_UM, draw_slide


def test_slide_repeats_what_is_drawn(tmp_path):
    write_large_slide(tmp_path / "large.tiff", 700, drawn_size=300)
    drawn, _ = draw_slide(np.random.default_rng(0), 300, 0)
    with tifffile.TiffFile(tmp_path / "large.tiff") as tiff:
        page = tiff.pages[0]
        assert page.is_tiled and page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.get_resolution("MICROMETER") == (1 / PIXEL_SIZE_UM,) * 2
        np.testing.assert_array_equal(page.asarray(), np.tile(drawn, (3, 3, 1))[:700, :700])
