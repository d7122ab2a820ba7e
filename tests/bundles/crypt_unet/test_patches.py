"""An evaluation is told of the patches that were indexed, and of an index that is none."""

import json

import pytest
import torch
from crypt_unet.common.errors import InputError
from crypt_unet.patches import ReadPatchIndexd, read_patch_index


@pytest.fixture
def dataset(tmp_path):
    """A datalist and the index of one slide."""
    (tmp_path / "a.csv").write_text("y,x,annotated\n0,0,1\n256,512,1\n512,0,0\n")
    (tmp_path / "dataset.json").write_text(json.dumps({"patch_size": 400, "training": []}))
    return tmp_path


@pytest.mark.parametrize("text", ["", "x,y\n1,2\n", "y,x,annotated\n1,2\n", "y,x,annotated\na,b,c\n"])
def test_malformed_index(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=r"a\.csv: no patch index .* convert the data again"):
        read_patch_index(tmp_path / "a.csv")


def test_evaluation_is_told_corners_and_size(dataset):
    read = ReadPatchIndexd("patches", dataset_dir=dataset)({"patches": str(dataset / "a.csv")})
    assert torch.equal(read["patches"], torch.tensor([[0, 0], [256, 512], [512, 0]]))
    assert read["patch_size"] == 400


def test_impossible_size_of_patches(dataset):
    content = json.loads((dataset / "dataset.json").read_text()) | {"patch_size": "large"}
    (dataset / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="patch_size is 'large', expected a positive whole number"):
        ReadPatchIndexd("patches", dataset_dir=dataset)({"patches": str(dataset / "a.csv")})


def test_an_item_without_an_index_has_no_patches(dataset):
    read = ReadPatchIndexd("patches", dataset_dir=dataset, allow_missing_keys=True)({})
    assert read["patches"].shape == (0, 2) and read["patch_size"] == 400
