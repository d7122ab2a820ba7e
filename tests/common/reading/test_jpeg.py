"""JPEG data that break off are told from whole ones."""

import pytest

from common.reading.jpeg import END, SCAN, check_jpeg


def test_bytes_behind_the_end_are_none_of_the_pixels():
    check_jpeg(SCAN + b"pixels" + END + b"\0\0")


def test_the_end_of_a_preview_is_not_that_of_the_pixels():
    with pytest.raises(ValueError, match="breaks off after 18 bytes"):
        check_jpeg(SCAN + b"small" + END + SCAN + b"pixels"[:5] + b"\0\0")
