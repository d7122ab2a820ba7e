"""What an image takes to segment, from its header."""

import dataclasses

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from tests.tools.serve.conftest import IMAGES, VOLUMES, noise
from tools.convert.nifti import write_volume
from tools.serve.failures import Failure
from tools.serve.jobs import Limits
from tools.serve.uploads import check_work
from tools.serve.work import bytes_needed

RESAMPLED = dataclasses.replace(VOLUMES, spacing=(2.0, 0.5, 0.5))


@pytest.mark.parametrize(
    ("kind", "bundle", "per_value"),
    [("png", IMAGES, 17), ("jpeg", IMAGES, 17), ("tiff", VOLUMES, 49), ("nii", VOLUMES, 49), ("nii.gz", VOLUMES, 49)],
)
def test_bytes_are_told_from_the_header(image_files, kind, bundle, per_value):
    needed = 60 * per_value
    assert bytes_needed(image_files / kind, bundle, {}) == needed
    check_work(image_files / kind, bundle, {}, Limits(max_memory_bytes=needed))
    with pytest.raises(Failure, match="takes about 0 MiB, expected at most 0 MiB") as caught:
        check_work(image_files / kind, bundle, {}, Limits(max_memory_bytes=needed - 1))
    assert caught.value.status == 413


@pytest.mark.parametrize("kind", ["tiff", "nii"])
def test_work_at_the_resolution_of_the_bundle_counts(image_files, kind):
    """A spacing that is said goes before that of the file, which here is 2, 1, 1 where it is known."""
    own = 60 + 48 * 60 * (4 if kind == "nii" else 1)
    assert bytes_needed(image_files / kind, RESAMPLED, {}) == own
    needed = bytes_needed(image_files / kind, RESAMPLED, {"spacing": "100,100,100"})
    assert needed == 60 + 48 * 60 * 50 * 200 * 200
    with pytest.raises(Failure, match=r"takes about 5493 MiB, expected at most 1024 MiB; crop it"):
        check_work(image_files / kind, RESAMPLED, {"spacing": "100,100,100"}, Limits(max_memory_bytes=1 << 30))


def test_values_of_many_bytes_count_as_such(tmp_path):
    tifffile.imwrite(tmp_path / "a", noise(0).astype(np.complex128))
    assert bytes_needed(tmp_path / "a", IMAGES, {}) == 600 * (16 + 16)


@pytest.mark.parametrize("spacing", ["nan,1,1", "-1,1,1", "0,1,1", "1e39,1,1", "inf,1,1", "1,1", "a"])
def test_spacing_that_is_none_is_refused(image_files, spacing):
    with pytest.raises(InputError, match="spacing"):
        check_work(image_files / "nii", RESAMPLED, {"spacing": spacing}, Limits())


@pytest.mark.parametrize(("code", "step"), [(0, np.nan), (0, 3e38), (1, np.nan), (1, 0.0), (1, 3e38), (1, np.inf)])
def test_header_that_lies_about_the_spacing_is_refused(tmp_path, code, step):
    write_volume(tmp_path / "a.nii", noise(0, (3, 4, 5)), (2.0, 1.0, 1.0))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[252:256] = np.array([0, code], "<i2").tobytes()
    content[80:92] = np.array([step] * 3, "<f4").tobytes()
    content[280:328] = np.diag([step] * 3 + [1])[:3].astype("<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(Failure, match="spacing|takes about|cannot be read") as caught:
        check_work(tmp_path / "a.nii", RESAMPLED, {}, Limits())
    assert caught.value.status in (413, 415)
