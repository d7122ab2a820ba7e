import pytest

from tools.serve.failures import Failure
from tools.serve.limits import Limits
from tools.serve.uploads import check_pixels


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "nii", "nii.gz"])
def test_pixels_are_counted_from_the_header(image_files, kind):
    check_pixels(image_files / kind, Limits(max_pixels=60))
    with pytest.raises(Failure, match="60 values"):
        check_pixels(image_files / kind, Limits(max_pixels=59))
