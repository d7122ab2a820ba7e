"""Bad input ends in one line that names it, wherever MONAI was when it turned up."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.handlers import StatsHandler
from monai.transforms import Compose
from torch._utils import ExceptionWrapper

from common import errors
from common.errors import InputError, find_input_error
from common.training.raising import ErrorRaiser
from tests.processes import run_module


def refuse(item):
    raise InputError("a.nii.gz: holds NaN; replace them")


def caught(run, *arguments) -> BaseException:
    with pytest.raises((InputError, KeyError, RuntimeError), match=".") as info:
        run(*arguments)
    return info.value


def test_found_below_monais_transforms():
    error = caught(Compose([Compose([refuse])]), {"image": 1})
    assert not isinstance(error, InputError)
    assert str(find_input_error(error)) == "a.nii.gz: holds NaN; replace them"


def test_found_below_a_config_expression():
    parser = ConfigParser({"run": "$@refuse(1)", "refuse": refuse})
    assert str(find_input_error(caught(parser.get_parsed_content, "run"))) == "a.nii.gz: holds NaN; replace them"


@pytest.mark.parametrize("transform", [refuse, Compose([refuse])])
def test_found_in_the_text_that_a_worker_process_sends(transform):
    try:
        transform({"image": 1})
    except Exception:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")  # as DataLoader does with num_workers > 0
    assert str(find_input_error(caught(sent.reraise))) == "a.nii.gz: holds NaN; replace them"


def test_found_where_it_was_handled_on_the_way():
    def handle():
        try:
            refuse(1)
        except InputError:
            raise KeyError("image")  # noqa: B904 (the cause is what this is about)

    assert str(find_input_error(caught(handle))) == "a.nii.gz: holds NaN; replace them"


@pytest.mark.parametrize("error", [None, ValueError("a bug"), RuntimeError("see InputError: elsewhere")])
def test_other_errors_are_none(error):
    assert find_input_error(error) is None


def test_errors_that_cause_each_other_are_looked_at_once():
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert list(errors.causes(first)) == [first, second] and find_input_error(first) is None


def test_name_that_no_system_takes_is_told():
    with pytest.raises(OSError, match="too long") as info:
        Path("a" * 300).is_file()
    assert "aaa: cannot be read or written (File name too long)" in str(find_input_error(info.value))


def test_shown_as_one_line(capsys):
    errors._print_plainly(InputError, InputError("a.nii.gz:\n  holds NaN"), None)
    assert capsys.readouterr().err == "error: a.nii.gz: holds NaN\n"


def test_other_errors_keep_their_traceback(capsys):
    error = caught(torch.zeros, -1)
    errors._print_plainly(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.startswith("Traceback")


def test_another_hook_stays(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", print)
    errors.show_input_errors_plainly()
    assert sys.excepthook is print


def test_statistics_do_not_log_a_traceback(caplog):
    engine = Engine(lambda engine, batch: refuse(batch))
    for handler in (ErrorRaiser(), StatsHandler()):
        handler.attach(engine)
    assert isinstance(caught(engine.run, [1]), InputError)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [("inference", ["--ckpt_path", "none"]), ("train", ["--cache_rate", "0.0", "--fold", "0", "--num_workers", "1"])],
)
def test_command_line_ends_with_one_line_and_no_traceback(bundle_root, write_volume, tmp_path, name, more):
    volume = np.ones((8, 8, 8), np.float32)
    volume[1, 2, 3] = np.nan
    write_volume("a.nii.gz", volume)
    item = '{"image": "a.nii.gz", "label": "a.nii.gz", "fold": %d}'
    (tmp_path / "dataset.json").write_text(f'{{"training": [{item % 0}, {item % 1}], "testing": [{item % 2}]}}')
    code, output = run_module(
        *("monai.bundle", "run", "--config_file", bundle_root / "configs" / f"{name}.json"),
        *("--bundle_root", bundle_root, "--dataset_dir", tmp_path, "--output_dir", tmp_path / "output", *more),
        cwd=tmp_path,
    )
    told = f"error: {tmp_path / 'a.nii.gz'}: holds NaN or infinite voxels; replace them before segmenting"
    assert code == 1 and told in output.splitlines()[-2:], output[-2000:]
    assert "Traceback" not in output and " ERROR " not in output
    assert not list((tmp_path / "output").glob("*.nii.gz"))
