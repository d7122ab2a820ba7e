import shutil

import pytest

from common.errors import InputError
from tools.bundles import find_bundle
from tools.segment.description import describe, describe_bundle


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
