"""What holds for the samples of all formats: a seed decides them, they are completed, and replace nothing."""

import json
import shlex
from pathlib import Path

import pytest

from common.errors import InputError
from tools.__main__ import VERBS
from tools.command_line import run
from tools.sample import crypts, ctc, livecell, myelin

SMALL = {
    ctc: {"num_sequences": 2, "num_frames": 2},
    crypts: {"num_slides": 2, "size": 320},
    livecell: {"num_images": 3},
    myelin: {"num_subjects": 1, "size": 64},
}
OTHERS = {
    ctc: [{"seed": 1}, {"num_frames": 1}, {"num_sequences": 1}],
    crypts: [{"seed": 1}, {"size": 300}, {"num_slides": 1}],
    livecell: [{"seed": 1}],
    myelin: [{"seed": 1}],
}
WRONG = {
    "devonet_nsn": [["--num_frames", "0"], ["--seed", "1.5"], ["--num_frame", "2"]],
    "crypt_unet": [["--num_slides", "0"], ["--size", "255"]],
    "swinunet_livecell": [["--num_images", "2"], ["--seed", "-1"], ["--num_image", "5"], ["--num_cells", "1001"]],
    "sam_myelin": [["--num_subjects", "0"], ["--size", "63"], ["--seed", "-1"], ["--sizes", "99"]],
}


# a bundle of each format, options of its sample -> the parts of the converted one: what each trains, and what it tests
ROADS = {
    "devonet_nsn": (["--num_sequences", "2", "--num_frames", "1"], "sequence", {("01", 0)}, {"02"}),
    "crypt_unet": (["--num_slides", "3", "--size", "600"], "slide", {("slide_01", 0), ("slide_02", 1)}, {"slide_03"}),
    "swinunet_livecell": (["--num_images", "4"], "cell_type", {("Round", 0), ("Round", 1), ("Spindle", 1)}, {"Round"}),
    "sam_myelin": (["--num_subjects", "2", "--size", "96"], "subject", {("sub-01", 0)}, {"sub-02"}),
}


def name(kind: object) -> str:
    return kind.__name__.rpartition(".")[2]


@pytest.mark.parametrize("kind", SMALL, ids=name)
def test_another_seed_draws_other_images(kind):
    first, other = (dict(kind.draw_files(seed=seed, **SMALL[kind])) for seed in (0, 1))
    images = [path for path in first if path.endswith((".tif", ".tiff", "_TEM.png"))]
    assert images and first.keys() == other.keys()
    assert len({*(first[path] for path in images), *(other[path] for path in images)}) >= 2 * len(images)


@pytest.mark.parametrize("bundle", ROADS)
def test_printed_command_converts_the_sample_without_a_warning(bundle, tmp_path, capsys):
    options, key, trained, tested = ROADS[bundle]
    assert run(VERBS, ["sample", bundle, str(tmp_path / "my sample"), *options]) == 0
    words = shlex.split(capsys.readouterr().out.split("next", 1)[1])
    assert words[:3] == ["python", "-m", "tools"] and run(VERBS, words[3:]) == 0
    assert "WARNING" not in capsys.readouterr().err
    content = json.loads((Path(words[6]) / "dataset.json").read_text())
    assert {(item[key], item["fold"]) for item in content["training"]} == trained
    assert {item[key] for item in content["testing"]} == tested


def write(kind, folder: Path, **settings: int) -> dict[str, object]:
    return getattr(kind, name(kind))(str(folder), **SMALL[kind] | settings)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", SMALL, ids=name)
def test_same_sample_again_is_no_error_and_completes_it(kind, tmp_path):
    write(kind, tmp_path)
    before = contents(tmp_path)
    sorted(before)[len(before) // 2].unlink()
    write(kind, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", SMALL, ids=name)
def test_other_files_are_not_overwritten(kind, tmp_path):
    write(kind, tmp_path)
    before = contents(tmp_path)
    for settings in OTHERS[kind]:
        with pytest.raises(InputError, match="not of the dataset to write; choose an empty folder or remove it"):
            write(kind, tmp_path, **settings)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", SMALL, ids=name)
def test_folder_that_cannot_be_written(kind, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written .*; choose another folder"):
        write(kind, tmp_path / "file")


@pytest.mark.parametrize(("bundle", "option"), [(bundle, option) for bundle in WRONG for option in WRONG[bundle]])
def test_bad_option_is_refused(bundle, option, tmp_path, capsys):
    assert run(VERBS, ["sample", bundle, str(tmp_path / "out"), *option]) == 1
    assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
