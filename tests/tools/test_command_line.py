"""The command line lists its verbs, refuses what it does not know, and tells expected errors in one line."""

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import InputError
from tools.__main__ import VERBS
from tools.command_line import OrAlone, as_table, as_verb, at_least, listed, needed, positive, reject, run
from tools.convert.spacing import parse_spacing

ROOT = Path(__file__).resolve().parents[2]


def example(source, *extra, fold="0", spacing="1", **unknown):
    """Stand-in for a verb."""
    reject(unknown, example, extra)
    print("ran")
    return {"source": source, "fold": fold}


def fails(error):
    """Stand-in for a verb that raises."""
    raise {
        "input": InputError("a.tif: bad\nin two lines"),
        "path": FileNotFoundError("b"),
        "file": IsADirectoryError(errno.EISDIR, "Is a directory", ".partial-c", None, "c"),
        "bug": KeyError("c"),
    }[error]


STAND_INS = {
    "example": ("stand_ins:example", "a stand-in"),
    "group fails": ("stand_ins:fails", "raises"),
    "group missing": ("tools.no_such_module:verb", "cannot be imported"),
}


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setitem(sys.modules, "stand_ins", SimpleNamespace(example=example, fails=fails))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_bare_call_lists_every_verb_in_one_line(capsys, arguments):
    assert run(VERBS, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for verb, (_, about) in VERBS.items():
        assert sum(line.startswith(f"{verb} ") and line.endswith(about) for line in lines) == 1


def test_group_lists_only_its_verbs_and_imports_none(capsys):
    assert run(STAND_INS, ["group"]) == 0
    out = capsys.readouterr().out
    assert "group fails" in out and "group missing" in out and "a stand-in" not in out


def test_help_shows_usage_and_docstring_on_stdout_without_running(capsys):
    assert run(STAND_INS, ["example", "--help"]) == 0
    out = capsys.readouterr().out
    assert "python -m tools example SOURCE [--fold '0']" in out and "Stand-in for a verb." in out and "ran" not in out


def test_result_is_a_table_on_stdout(capsys):
    assert run(STAND_INS, ["example", "here", "--fold", "3"]) == 0
    assert capsys.readouterr().out.split() == ["ran", "source", "here", "fold", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["example", "x", "--foldd", "1"], "unknown flag --foldd; did you mean --fold? known: --fold --spacing"),
        (["example", "x", "--spcing=1"], "unknown flag --spcing; did you mean --spacing?"),
        (["example", "x", "y"], "too many arguments: y"),
        (["example"], "SOURCE missing; usage: python -m tools example SOURCE [--fold '0']"),
        (["example", "--fold", "1"], "SOURCE missing"),
        (["example", "x", "--fold", "1", "--spacing=2", "--fold=3"], "--fold: given twice; give it once"),
        (["exmple", "x"], "unknown verb 'exmple'; did you mean 'example'?"),
        (["x.tif"], "unknown verb 'x.tif'; python -m tools lists all verbs"),
        (["group", "fail"], "unknown verb 'group fail'; did you mean 'group fails'?"),
        (["group", "fails", "input"], "error: a.tif: bad in two lines"),
        (["group", "fails", "path"], "error: b"),
        (["group", "fails", "file"], "error: c: Is a directory; check the path, or give another"),
    ],
)
def test_expected_errors_are_one_line_and_nothing_ran(capsys, arguments, message):
    assert run(STAND_INS, arguments) == 1
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and out == ""


@pytest.mark.parametrize("words", [["x", "--fold", "1"], ["--fold", "1", "x"], ["--fold=1", "x"], ["--source", "x"]])
def test_arguments_may_come_in_any_order(capsys, words):
    assert run(STAND_INS, ["example", *words]) == 0
    assert "source  x" in capsys.readouterr().out


def test_unexpected_errors_keep_their_traceback():
    with pytest.raises(KeyError, match="c"):
        run(STAND_INS, ["group", "fails", "bug"])


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "True", ""])
def test_whole_number_refuses_what_is_none(value):
    with pytest.raises(ValueError, match="expected a whole number, at least 0"):
        at_least(0)(value)


def test_table_aligns_its_columns():
    assert as_table({"a": 1, "long": "x"}) == "a     1\nlong  x"
    assert (as_table(None), as_table("text")) == ("", "text")


def python(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_convert_ctc_from_the_shell(sequence, datalist, tmp_path):
    sequence("01")
    sequence("02")
    arguments = ["-m", "tools", "convert", "ctc", tmp_path / "source", tmp_path / "out", "--spacing", "2,1,1"]
    refused = python(*arguments, "--tset", "02")
    assert (refused.returncode, refused.stderr.splitlines()) == (
        1,
        ["error: unknown flag --tset; did you mean --test? known: --spacing --folds --test --name --licence --align"],
    )
    assert not (tmp_path / "out").exists()
    done = python(*arguments, "--test", "02", "--name", "2024_01")
    assert done.returncode == 0 and "frames     2" in done.stdout
    assert [item["sequence"] for item in datalist()["testing"]] == ["02"]
    assert datalist()["name"] == "2024_01"


def test_listing_the_verbs_imports_nothing_heavy():
    done = python(
        "-c",
        "import sys, tools.__main__ as main; main.run(main.VERBS, []); main.run(main.VERBS, ['convert']);"
        "assert not {'torch', 'monai', 'numpy'} & set(sys.modules)",
    )
    assert done.returncode == 0, done.stderr


@as_verb(source=Path, spacing=parse_spacing, folds=at_least(1), share=positive, test=listed)
def split(
    source: Path, *, spacing: tuple, folds: int = 5, share: float | None = None, test: tuple = (), clean: bool = False
) -> dict[str, object]:
    """Split a folder."""
    return {"source": source, "spacing": spacing, "folds": folds, "share": share, "test": test, "clean": clean}


GIVEN = {"source": Path("1"), "spacing": (2.0, 1.0, 1.0), "folds": 5, "share": None, "test": (), "clean": False}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["--folds", "3", "--share", "0.5", "--clean"], {"folds": 3, "share": 0.5, "clean": True}),
        (["--test", "01, 2024_01,", "--share="], {"test": ["01", "2024_01"]}),
    ],
)
def test_texts_of_a_verb_are_read(words, changed, monkeypatch, capsys):
    monkeypatch.setattr("tools.command_line._load", lambda target: split)
    assert run({"split": ("", "")}, ["split", "1", "--spacing", "2,1,1", *words]) == 0
    assert capsys.readouterr().out == as_table(GIVEN | changed) + "\n"


def test_a_verb_is_called_from_python_as_it_is_written():
    assert split(Path("1"), spacing=(2.0, 1.0, 1.0), folds=3) == GIVEN | {"folds": 3}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "0"], "--folds 0: expected a whole number, at least 1"),
        (["--folds", "1.5"], "--folds 1.5: expected a whole number, at least 1"),
        (["--share", "nan"], "--share nan: expected a number above 0"),
        (["--clean", "yes"], "--clean yes: expected no value, True or False"),
        (["--fold", "1"], "unknown flag --fold; did you mean --folds? known: --spacing --folds --share --test --clean"),
        (["further"], "too many arguments: further"),
        (["--test"], "--test: no value; give --test VALUE"),
        (["--share", "--clean"], "--share: no value; give --share VALUE"),
    ],
)
def test_what_a_verb_cannot_read_is_told_before_it_begins(words, message, monkeypatch, capsys):
    monkeypatch.setattr("tools.command_line._load", lambda target: split)
    assert run({"split": ("", "")}, ["split", "1", "--spacing", "2,1,1", *words]) == 1
    assert message in capsys.readouterr().err


def test_an_argument_that_is_empty_is_not_the_folder_we_are_in(monkeypatch, capsys):
    monkeypatch.setattr("tools.command_line._load", lambda target: split)
    assert run({"split": ("", "")}, ["split", "", "--spacing", "2,1,1"]) == 1
    assert "error: SOURCE is empty; give one" in capsys.readouterr().err


def test_a_verb_that_takes_more_gets_it_as_it_is():
    @as_verb(folds=at_least(1), dataset_dir=needed("give one"))
    def train(bundle: str, *more: str, dataset_dir: Path, folds: int = 5, **overrides: str) -> tuple:
        return bundle, more, dataset_dir, folds, overrides

    assert train("a", "b", dataset_dir="d", folds="3", rate="0.1") == ("a", ("b",), Path("d"), 3, {"rate": "0.1"})
    with pytest.raises(InputError, match="--dataset_dir missing; give one"):
        train("a")


@pytest.mark.parametrize("words", [["--align"], ["--align", "--folds", "2"], ["--align=True"]])
def test_an_option_that_may_stand_alone(words, monkeypatch, capsys):
    @as_verb(folds=at_least(1), align=OrAlone("move", str.upper))
    def shift(source: str, *, align: str = "none", folds: int = 5) -> str:
        return f"{source} {align}"

    monkeypatch.setattr("tools.command_line._load", lambda target: shift)
    assert run({"shift": ("", "")}, ["shift", "a", *words]) == 0
    assert run({"shift": ("", "")}, ["shift", "a", "--align", "report"]) == 0
    assert capsys.readouterr().out.split() == ["a", "move", "a", "REPORT"]


def test_what_a_verb_requires_by_name_is_told(monkeypatch, capsys):
    monkeypatch.setattr("tools.command_line._load", lambda target: split)
    assert run({"split": ("", "")}, ["split", "1"]) == 1
    assert "spacing missing" in capsys.readouterr().err
    assert run({"split": ("", "")}, ["split", "--help"]) == 0
    assert (
        "split SOURCE --spacing VALUE [--folds 5] [--share ''] [--test ''] [--clean False]" in capsys.readouterr().out
    )


@pytest.mark.parametrize("verb", ["share", "serve", "verify", "export onnx"])
def test_help_of_what_runs_a_bundle_says_that_it_is_code(capsys, verb):
    assert run(VERBS, [*verb.split(), "--help"]) == 0
    assert "The code in a bundle's configs and package runs with your rights" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_full_disk_is_told_in_one_line_wherever_it_was(capsys, monkeypatch):
    def fill():
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/disk/a.tif")
        except OSError as error:
            raise RuntimeError("a library's own words") from error

    monkeypatch.setitem(sys.modules, "stand_ins", SimpleNamespace(example=fill))
    assert run(STAND_INS, ["example"]) == 1
    assert capsys.readouterr().err == (
        "error: /disk/a.tif: cannot be read or written (No space left on device); check free space and permissions, "
        "or choose another place\n"
    )


def test_file_whose_name_begins_with_a_dash(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-a.tif").touch()
    assert run(STAND_INS, ["example", "-a.tif"]) == 1
    assert capsys.readouterr().err == "error: -a.tif: begins as an option does; give this file as ./-a.tif\n"
    assert run(STAND_INS, ["example", "./-a.tif"]) == 0
