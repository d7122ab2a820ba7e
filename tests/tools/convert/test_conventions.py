"""What all converters do alike: nothing is redone, nothing of others is replaced, errors are one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from tools.convert.dataset import writing_dataset

REMADE = (".json", ".tsv")  # by every run, as they cost nothing
CELL = [[5, 5, 12, 5, 12, 12]]


@pytest.fixture(params=["ctc", "crypts", "livecell", "myelin"])
def convert_small(request):
    """Function that converts a small source of each kind in turn."""
    get = request.getfixturevalue
    if request.param == "ctc":
        get("sequence")(frames=(0, 1))
        return get("convert")
    if request.param == "crypts":
        get("put_slide")("a.tiff")
        get("put_slide")("b.tiff")
        get("put_text")("source.csv", "id,rle\na,1 5\nb,1 5\n")
        return get("convert_slides")
    if request.param == "livecell":
        get("put_split")("val", {"a_1.tif": [CELL], "a_2.tif": [CELL]})
        return get("convert_cells")
    get("put_subject")("sub-a")
    get("put_subject")("sub-b")
    return get("convert_nerves")


def test_second_run_touches_no_image_and_no_file_of_others(convert_small, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    convert_small()
    images = [path for path in (tmp_path / "out").rglob("*.*") if path.suffix not in REMADE]
    before = {path: path.stat().st_mtime_ns for path in images}
    convert_small()
    assert len(before) > 2 and {path: path.stat().st_mtime_ns for path in images} == before
    assert not list((tmp_path / "out").rglob(".partial*"))


def stopped(number: int, error: type[BaseException]):
    """A way to rename files that fails at one of them, and when which files were renamed."""
    written, replace = {}, Path.replace

    def rename(partial: Path, path: Path) -> None:
        if len(written) == number:
            raise error("killed")
        replace(partial, path)
        written[path] = path.stat().st_mtime_ns

    return rename, written


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_interrupted_run_leaves_no_dataset_and_the_next_one_goes_on(convert_small, tmp_path, monkeypatch):
    rename, written = stopped(3, KeyboardInterrupt)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="killed"):
        patch.setattr(Path, "replace", rename)
        convert_small()
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == set(written)
    assert all(".partial-dataset" in path.parts for path in written)
    (tmp_path / "out/.partial-dataset/.partial-host-1-other.png").touch()  # what another run was writing
    convert_small()
    assert not list((tmp_path / "out").rglob(".*"))
    kept = {tmp_path / "out" / path.relative_to(tmp_path / "out/.partial-dataset"): at for path, at in written.items()}
    assert {path: path.stat().st_mtime_ns for path in kept if path.suffix not in REMADE}.items() <= kept.items()
    assert (tmp_path / "out/dataset.json").exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_run_that_fails_leaves_everything_as_it_was(convert_small, tmp_path, monkeypatch, is_there):
    out = tmp_path / "out"
    if is_there:
        convert_small()
        for image in (path for path in out.rglob("*.*") if path.suffix not in REMADE):
            image.write_bytes(image.read_bytes()[:50])  # to be made again
    before = contents(out)
    rename, written = stopped(3, OSError)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="killed"):
        patch.setattr(Path, "replace", rename)
        convert_small()
    assert len(written) == 3 and contents(out) == before and out.exists() == is_there


FIRST = """import pathlib, sys; from tools.convert.dataset import writing_dataset
with writing_dataset(pathlib.Path(sys.argv[1]), ["images"], "a"):
    print(flush=True)
    sys.stdin.read()"""


def test_second_run_at_once_is_refused_and_takes_nothing_from_the_first(tmp_path):
    with subprocess.Popen([sys.executable, "-c", FIRST, tmp_path], stdin=-1, stdout=-1) as first:
        assert first.stdout.readline()
        with (
            pytest.raises(InputError, match=r"a conversion by process \d+ on .* writes there; wait for it"),
            writing_dataset(tmp_path, ["images"], "a"),
        ):
            pass
        assert (tmp_path / ".partial-dataset/images").is_dir()
        first.stdin.close()
    assert first.returncode == 0


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ("", "not written by this converter; remove it or choose another folder"),
        ('"licence": "unknown", "corrected": "nsn", ', "corrections for nsn are kept there; choose another folder"),
    ],
)
def test_dataset_of_somebody_else_is_not_replaced(convert_small, put_text, facts, told):
    path = put_text("out/dataset.json", f'{{"name": "mine", {facts}"training": []}}')
    with pytest.raises(InputError, match=f"dataset.json: {told}"):
        convert_small()
    assert "mine" in path.read_text() and [*path.parent.iterdir()] == [path]


def test_dataset_of_other_images_is_not_replaced(convert_small, put_text):
    path = put_text("out/dataset.json", '{"name": "theirs", "licence": "MIT", "training": [{"image": "images/z.png"}]}')
    with pytest.raises(InputError, match=r"dataset.json: lists 1 other images, such as z; remove it or choose another"):
        convert_small()
    assert "theirs" in path.read_text() and [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("is_inner", [False, True])
def test_destination_that_cannot_be_written(convert_small, put_text, is_inner, request):
    inner = "out/sub-a" if "myelin" in request.node.name else "out/images"
    put_text(inner if is_inner else "out", "a file where a folder should be")
    with pytest.raises(InputError, match="out: cannot be written .*; choose another folder"):
        convert_small()


def test_source_that_does_not_exist(convert_small, tmp_path):
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="source: no such (file or )?folder, expected"):
        convert_small()
