"""Files that runs read and leave are found by what they are of, and known to be up to date by their dates."""

import os
import re

import pytest

from common.errors import InputError
from common.json_file import read_json
from tools.runs.files import find_result, is_newer, write_json, write_text


@pytest.mark.parametrize(
    ("image", "result"),
    [
        ("a/x.nii.gz", "x_prob.nii.gz"),
        ("slide.v1.ome.tiff", "slide.v1_prob.png"),
        ("[x].png", "[x]_prob.tiff"),
    ],
)
def test_result_of_an_image_is_found_by_its_stem_and_kind(tmp_path, image, result):
    for name in (result, result.replace("_prob", "_mask"), f"other_{result}"):
        (tmp_path / name).touch()
    assert find_result(tmp_path, image, "prob").name == result


def test_missing_result_is_told(tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path}: no x_prob.* of x.png; delete the folder and run")):
        find_result(tmp_path, "x.png", "prob")


def test_newer_means_not_older_than_any_source(tmp_path):
    made, source = tmp_path / "made", tmp_path / "source"
    assert not is_newer(made, [])
    made.touch()
    assert is_newer(made, []) and not is_newer(made, [source])
    source.touch()
    os.utime(source, (1000, 1000))
    assert is_newer(made, [source, made])
    os.utime(made, (999, 999))
    assert not is_newer(made, [source])


def test_text_that_is_there_already_keeps_its_date(tmp_path):
    path = tmp_path / "folder/file"
    write_text(path, "a")
    os.utime(path, (1000, 1000))
    write_text(path, "a")
    assert path.stat().st_mtime == 1000
    write_text(path, "b")
    assert path.stat().st_mtime > 1000 and path.read_text() == "b"


def test_numbers_that_json_does_not_know_are_no_content(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "file.json", {"a": float("nan")})
    write_json(tmp_path / "file.json", {"a": 1})
    assert read_json(tmp_path / "file.json") == {"a": 1}
