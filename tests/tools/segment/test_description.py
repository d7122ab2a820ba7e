import shutil

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from tools.bundles import find_bundle
from tools.segment.description import describe, describe_bundle
from tools.segment.inputs import prepare_image


def test_bundle_without_weights_says_what_to_do(tmp_path):
    shutil.copytree(find_bundle("devonet_nsn") / "configs", tmp_path / "devonet_nsn" / "configs")
    with pytest.raises(InputError, match="no weights to serve; train it, download the bundle again"):
        describe_bundle(tmp_path / "devonet_nsn")


def test_stranger_is_no_bundle(tmp_path):
    with pytest.raises(InputError, match="metadata.json: no such file; is .*other a bundle's folder"):
        describe_bundle(tmp_path / "other")
    (tmp_path / "plain" / "configs").mkdir(parents=True)
    (tmp_path / "plain" / "configs" / "metadata.json").write_text('{"task": "x"}')
    with pytest.raises(InputError, match="metadata.json: no 'toolbox'"):
        describe_bundle(tmp_path / "plain")


def test_a_place_that_would_not_be_used_is_refused():
    with pytest.raises(
        InputError, match="--output_dir elsewhere: chosen for every image by what segments it; leave it"
    ):
        describe("nuclei", overrides={"output_dir": "elsewhere"})


def test_two_bundles_together_are_called_as_they_were_asked_for(tmp_path):
    """In the words about an image that neither can use, too."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    for one in describe("nuclei").networks:
        with pytest.raises(InputError, match="a.tif: one page, but nuclei takes volumes"):
            prepare_image(tmp_path / "a.tif", one, tmp_path / one.root.name, {})


def test_weights_that_are_not_there_are_those_that_were_given(tmp_path):
    with pytest.raises(InputError, match=r"--ckpt_path .*mine\.pt: no such file; check the path of your weights"):
        describe("devonet_nsn", overrides={"ckpt_path": str(tmp_path / "mine.pt")})
