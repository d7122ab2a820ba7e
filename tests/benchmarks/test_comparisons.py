"""Every comparison runs on tiny input; the harness counts, and refuses, what it says."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.harness import line, run_measured, speed, take_turns
from benchmarks.scale import makespan
from common.datalist import write_dataset
from tools.convert.nifti import write_volume

SLOW = (pytest.mark.slow, pytest.mark.benchmark)
# what makes a comparison tiny; its rows are named by their beginning
TINY = [
    pytest.param("cost --images 1,2", "2 workers, images per second", marks=SLOW),
    pytest.param("ctc --shrink 8 --rounds 1", "5 frames of 7x43x80", marks=SLOW),
    pytest.param("engines --bundles devonet_nsn --rounds 1", "devonet_nsn: torch.compile", marks=SLOW),
    pytest.param("finetuning --counts 1 --num_test 1 --max_epochs 1", "1 images: IoU", marks=SLOW),
    pytest.param("images --bundles devonet_ndn --num_images 1 --rounds 1", "devonet_ndn: peak memory", marks=SLOW),
    pytest.param("linking --dataset_dir {volumes}", "SEG, linked and cut", marks=SLOW),
    pytest.param("livecell --num_images 1", "best IoU that is left", marks=SLOW),
    pytest.param("loading --max_epochs 2", "devonet_nsn: share of time waiting", marks=SLOW),
    pytest.param(
        "memory --slices 4 --size 64 --slide_size 600 --limit 64", "crypt_unet, 600 x 600 RGB: peak", marks=SLOW
    ),
    pytest.param("nsn --num_volumes 1", "QCANet's scheme: mean IoU", marks=SLOW),
    pytest.param("peers --bundle nuclei --dataset_dir {volumes}", "SEG, mean per image", marks=SLOW),
    pytest.param("reading --slices 3 --size 20 --rounds 1", "plain.tif, 3 x 20 x 20"),
    pytest.param("robustness --dataset_dir {volumes}", "SEG, Z 2 times as coarse", marks=SLOW),
    pytest.param("sam --image_size 64 --images 1 --prompts 2 --rounds 1", "training step", marks=SLOW),
    pytest.param("scale --slides 600,1200 --slices 2,4 --size 64 --workers 3 --jobs 4", "slides: workers", marks=SLOW),
    pytest.param("serve --bundle devonet_ndn --num_images 3 --clients 2 --rounds 1", "latency, p95", marks=SLOW),
    pytest.param("start --bundle devonet_ndn --rounds 1", "segment --server, one image", marks=SLOW),
    pytest.param("usage --count 2 --images devonet_ndn={volumes}/image.nii.gz", "devonet_ndn", marks=SLOW),
    pytest.param("zooms --factors 0.5", "TEM x 0.5 (n = ", marks=SLOW),
]


@pytest.fixture
def volumes(tmp_path):
    """Dataset of one volume of noise, so small that a detector is done with it at once."""
    image = np.random.default_rng(0).integers(100, 1000, (3, 32, 32), dtype=np.uint16)
    for name, volume in {"image": image, "label": (image > 500).astype(np.uint16)}.items():
        write_volume(tmp_path / f"{name}.nii.gz", volume, (1.75, 0.4, 0.4))
    write_dataset(tmp_path, name="noise", training=[], testing=[{"image": "image.nii.gz", "label": "label.nii.gz"}])
    return tmp_path


@pytest.mark.parametrize(("words", "row"), TINY)
def test_comparison_runs_on_tiny_input(words, row, volumes, capsys):
    assert main(words.format(volumes=volumes).split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("device: ") and any(line.startswith(row) for line in lines)
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("name", [case.values[0].split()[0] for case in TINY])
def test_comparison_says_what_it_compares(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert "Options: " in capsys.readouterr().out


def test_all_comparisons_are_listed_and_tried(capsys):
    assert main([]) == 0
    listed = [
        line.split()[0] for line in capsys.readouterr().out.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    ]
    assert listed == [case.values[0].split()[0] for case in TINY]


@pytest.mark.parametrize(
    ("words", "message"),
    [("nothing", "no comparison nothing; choose one of cost, "), ("nsn --dataset_dir nowhere", "nowhere")],
)
def test_wrong_input_is_told_in_one_line(words, message, capsys):
    assert main(words.split()) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line


@pytest.mark.parametrize("words", ["ctc --rounds 0", "ctc --round_s 1"])
def test_wrong_options_are_refused_before_anything_runs(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words.split())
    assert "usage: python -m benchmarks ctc" in capsys.readouterr().err


def test_ways_take_turns_and_are_judged_once():
    calls = []
    ways = {way: lambda item, way=way: calls.append(way + item) or item for way in "ab"}
    seconds, scores = take_turns(ways, ["1", "2", "3"], rounds=2, desc="", judge=lambda item, result: item == result)
    warm, turns = calls[:2], calls[2:]
    assert warm == ["a1", "b1"]
    assert turns == ["a1", "b1", "b2", "a2", "a3", "b3", "b1", "a1", "a2", "b2", "b3", "a3"]
    assert {way: values.shape for way, values in seconds.items()} == {"a": (2, 3), "b": (2, 3)}
    assert scores == {"a": [True] * 3, "b": [True] * 3}


def test_ratio_is_taken_within_a_turn_and_told_with_its_spread():
    row = speed("x", np.array([1.0, 2.0, 3.0]), np.array([4.0, 2.0, 9.0]), 3.5)
    assert (row.ours, row.other) == ("2.00 s", "4.00 s")
    assert row.ratio == "3.00 x faster (1.20 to 3.90)" and row.target == ">= 3.5 x: missed"
    assert speed("x", np.array([0.3]), np.array([0.1])).ratio == "3.00 x slower"


def test_memory_is_the_childs_own():
    held = np.ones(1 << 25)  # 256 MiB, which are ours
    _, small, _ = run_measured([sys.executable, "-c", "pass"])
    _, large, worked = run_measured([sys.executable, "-c", "x = bytearray(1 << 27)"])
    assert held.nbytes > small and small + (1 << 26) < large and worked > 0


def test_failed_command_is_told():
    with pytest.raises(ValueError, match="import nothing.* ended with 1"):
        run_measured([sys.executable, "-c", "import nothing"])


def test_jobs_take_turns_at_the_workers_and_wait_for_the_scheduler():
    assert makespan([3.0, 1.0, 1.0, 1.0], 2, 0.0) == 3.0
    assert makespan([1.0] * 10, 100, 0.5) == pytest.approx(6.0), "more workers do not help a slow scheduler"
    assert makespan([1.0] * 4, 1, 0.5) == pytest.approx(6.0)


def test_cost_is_told_as_a_line_and_what_lies_off_it():
    row, slope = line("cells", [1, 2, 3], [3.0, 5.0, 7.3], "s", "image")
    assert slope == pytest.approx(2.15) and row.what == "cells: 1, 2, 3 images" and row.ours == "3, 5, 7.3 s"
    assert row.ratio == "0.8 s + 2.15 s per image, at most 0.1 s off"


@pytest.mark.thorough
def test_page_holds_the_tables_and_what_did_not_run(tmp_path, monkeypatch, capsys):
    plan = {"reading": "--slices 3 --size 20 --rounds 1", "nsn": "--dataset_dir nowhere"}
    monkeypatch.setattr("benchmarks.performance.QUICK", plan)
    assert main(["all", "--quick", "--output", str(tmp_path / "page.md")]) == 1
    page, told = (tmp_path / "page.md").read_text(), capsys.readouterr().err.splitlines()
    assert "| plain.tif, 3 x 20 x 20 | " in page and "`python -m benchmarks reading --slices 3" in page
    assert "Not measured to the end: " in page and "cores, " in page and "torch 2" in page
    assert told[0].startswith("[1/2] reading: ") and told[-2].startswith("[2/2] nsn: ") and "nowhere" in told[-2]


def test_a_package_that_is_missing_is_a_line_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "zarr", None)
    monkeypatch.delitem(sys.modules, "benchmarks.reading", raising=False)
    assert main(["reading"]) == 1 and "error: not installed: zarr" in capsys.readouterr().err


def test_product_does_not_import_benchmarks():
    root = Path(__file__).parents[2]
    files = [path for folder in ("tools", "common", "bundles") for path in (root / folder).rglob("*.py")]
    assert files and [path for path in files if "benchmarks" in path.read_text()] == []
