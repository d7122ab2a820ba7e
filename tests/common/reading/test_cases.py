"""Damaged files and files of other kinds: every reader takes them as a viewer does, or says one line at once."""

import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from common.errors import InputError
from common.reading.images import read_image
from common.reading.loading import CheckedLoadImage
from common.reading.nifti import read_volume as read_nifti
from common.reading.pictures import read_gray, read_labels
from common.reading.slides import open_labels, open_slide
from common.reading.tiff import decoded_size, read_header, read_volume

CASES = Path(__file__).parents[2] / "cases"
TIFFS = sorted((CASES / "damaged").glob("*.tif"))
VOLUMES = sorted((CASES / "damaged").glob("*.nii"))


def refuses(read, path: Path) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(InputError, match=path.name):
        read(path)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2 and peak < 100 << 20


@pytest.mark.parametrize(
    "read", [read_header, read_volume, read_gray, read_labels, read_image, open_slide, open_labels]
)
@pytest.mark.parametrize("path", TIFFS, ids=lambda path: path.name)
def test_damaged_tiff_is_refused_at_once(read, path):
    refuses(read, path)


@pytest.mark.parametrize("read", [read_nifti, read_image, CheckedLoadImage()])
@pytest.mark.parametrize("path", VOLUMES, ids=lambda path: path.name)
def test_damaged_nifti_is_refused_at_once(read, path):
    refuses(read, path)


@pytest.mark.parametrize("path", TIFFS, ids=lambda path: path.name)
def test_values_of_a_damaged_tiff_are_counted_or_it_is_refused(path):
    with suppress(InputError):
        assert min(decoded_size(path)) >= 0


def test_planes_in_one_page_are_no_picture():
    with pytest.raises(InputError, match=r"hyperstack.tif: 3 planes in one page, expected one image"):
        read_gray(CASES / "files" / "one_ifd" / "hyperstack.tif")
