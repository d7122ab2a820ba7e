import pytest

from tests.tools.serve.conftest import IMAGES, VOLUMES
from tools.serve.failures import Failure
from tools.serve.limits import Limits
from tools.serve.uploads import check_upload


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "nii", "nii.gz"])
def test_pixels_are_counted_from_the_header(image_files, kind):
    bundle = VOLUMES if kind.startswith("nii") else IMAGES
    check_upload(image_files / kind, bundle, Limits(max_pixels=60))
    with pytest.raises(Failure, match="60 values"):
        check_upload(image_files / kind, bundle, Limits(max_pixels=59))
