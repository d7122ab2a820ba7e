import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from tests.tools.serve.conftest import IMAGES, VOLUMES, noise
from tools.bundles import find_bundle
from tools.convert.nifti import write_volume
from tools.serve.failures import Failure
from tools.serve.interfaces import describe_bundle
from tools.serve.jobs import ServedBundle
from tools.serve.limits import Limits
from tools.serve.uploads import check_upload, identify, parse_boxes, prepare_image

SLIDES = ServedBundle("slides", IMAGES.root, "", 2, "mask", (".tiff", ".tif"))


@pytest.fixture
def uploads(tmp_path):
    """One file of each format, under names that tell nothing."""
    Image.fromarray(noise(0, (4, 5, 3))).save(tmp_path / "png", format="PNG")
    Image.fromarray(noise(0, (4, 5, 3))).save(tmp_path / "jpeg", format="JPEG")
    tifffile.imwrite(tmp_path / "tiff", noise(0, (3, 4, 5)), photometric="minisblack")
    write_volume(tmp_path / "a.nii.gz", noise(0, (3, 4, 5)), (2.0, 1.0, 1.0))
    write_volume(tmp_path / "a.nii", noise(0, (3, 4, 5)), (2.0, 1.0, 1.0))
    (tmp_path / "a.nii.gz").rename(tmp_path / "nii.gz")
    (tmp_path / "a.nii").rename(tmp_path / "nii")
    return tmp_path


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "nii", "nii.gz"])
def test_format_is_told_by_content(uploads, kind):
    assert identify(uploads / kind) == kind


def test_other_gzip_is_no_image(tmp_path):
    import gzip

    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"text" * 500))
    assert identify(tmp_path / "a.nii.gz") is None


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "nii", "nii.gz"])
def test_pixels_are_counted_from_the_header(uploads, kind):
    bundle = VOLUMES if kind.startswith("nii") else IMAGES
    check_upload(uploads / kind, bundle, Limits(max_pixels=60))
    with pytest.raises(Failure, match="60 values"):
        check_upload(uploads / kind, bundle, Limits(max_pixels=59))


def test_image_that_the_bundle_reads_keeps_its_bytes(uploads):
    prepared = prepare_image(uploads / "png", IMAGES, uploads / "job", {})
    assert prepared.name == "image.png" and prepared.read_bytes() == (uploads / "png").read_bytes()


def test_png_becomes_tiff_where_only_tiff_is_read(uploads):
    prepared = prepare_image(uploads / "png", SLIDES, uploads / "job", {})
    np.testing.assert_array_equal(tifffile.imread(prepared), noise(0, (4, 5, 3)))


def test_spacing_of_the_request_goes_before_that_of_the_file(uploads):
    import nibabel as nib

    path = uploads / "imagej"
    metadata = {"axes": "ZYX", "spacing": 3.0, "unit": "um"}
    tifffile.imwrite(path, noise(0, (3, 4, 5)), imagej=True, resolution=(2, 2), metadata=metadata)
    own = nib.load(prepare_image(path, VOLUMES, uploads / "own", {}))
    given = nib.load(prepare_image(path, VOLUMES, uploads / "given", {"spacing": "2.0,0.8,0.8"}))
    np.testing.assert_allclose(own.header.get_zooms(), (0.5, 0.5, 3.0))
    np.testing.assert_allclose(given.header.get_zooms(), (0.8, 0.8, 2.0), rtol=1e-6)


@pytest.mark.parametrize("text", ["", "1", "[]", "[[1,2,3]]", '[["a",1,2,3]]', "[[1,2,3,NaN]]", "[" * 5000])
def test_what_is_no_boxes(text):
    with pytest.raises(InputError, match="boxes: expected JSON"):
        parse_boxes(text)


def test_boxes():
    np.testing.assert_array_equal(parse_boxes("[[1, 2, 3.5, 4]]"), [[1, 2, 3.5, 4]])


def test_bundle_without_weights_says_what_to_do(tmp_path):
    shutil.copytree(find_bundle("devonet_nsn") / "configs", tmp_path / "devonet_nsn" / "configs")
    with pytest.raises(InputError, match="no weights to serve; train it, download the bundle again"):
        describe_bundle(tmp_path / "devonet_nsn")


def test_stranger_is_no_bundle(tmp_path):
    with pytest.raises(InputError, match="metadata.json: cannot be read .*is .*other a bundle's folder"):
        describe_bundle(tmp_path / "other")
    (tmp_path / "plain" / "configs").mkdir(parents=True)
    (tmp_path / "plain" / "configs" / "metadata.json").write_text('{"task": "x"}')
    with pytest.raises(InputError, match="metadata.json: no 'toolbox'"):
        describe_bundle(tmp_path / "plain")
