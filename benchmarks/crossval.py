"""A cross-validation of devonet_nsn over two folds against two plain trainings, and when all is done already.

Whole commands, one after another: training on fold 0, crossval, training on fold 1, crossval again. crossval also
evaluates both networks on their fold and on the test, averages their probabilities and reports. Overrides are those of
the quick start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.bundles import about, command, dataset
from benchmarks.harness import Row, goal, run_measured
from tools.bundles import find_bundle
from tools.runs.words import as_words
from tools.toolbox import read_toolbox

NAME, FOLDS = "devonet_nsn", (0, 1)


def compare(folder: Path, *, dataset_dir: str = "", max_epochs: int = 30) -> Iterator[str | list[Row]]:
    """Options: dataset_dir, with two folds at least; max_epochs: fewer make what is not training weigh more."""
    data = dataset(NAME, dataset_dir, folder)
    yield about(data, data.training)
    overrides = {**read_toolbox(find_bundle(NAME)).quickstart, "dataset_dir": data.folder, "max_epochs": max_epochs}
    options = as_words({"num_fold": len(FOLDS), "num_processes": 1, "output_dir": folder / "whole", **overrides})
    whole = [sys.executable, "-m", "tools", "crossval", NAME, *options]
    plain = [
        command(NAME, "train", "training", fold=fold, output_dir=folder / f"fold_{fold}", **overrides) for fold in FOLDS
    ]
    seconds = [run_measured(one)[0] for one in (plain[0], whole, plain[1], whole)]
    trained, ratio = seconds[0] + seconds[2], seconds[1] / (seconds[0] + seconds[2])
    difference = max(_difference(folder / f"fold_{fold}", folder / "whole" / NAME / f"fold_{fold}") for fold in FOLDS)
    yield [
        Row("two folds by crossval, two plain trainings", f"{seconds[1]:.1f} s", f"{trained:.1f} s", f"{ratio:.2f} x",
            goal("<= 1.15 x", ratio <= 1.15)),
        Row("crossval again, when all is done", f"{seconds[3]:.1f} s", target=goal("<= 20 s", seconds[3] <= 20)),
        Row("weights, largest difference between both", f"{difference:.2g}"),
    ]  # fmt: skip


def _difference(first: Path, second: Path) -> float:
    """Largest difference between the weights of two trainings; 0 where they are identical."""
    one, other = (torch.load(path / "model.pt", map_location="cpu", weights_only=True) for path in (first, second))
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)
