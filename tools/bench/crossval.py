"""What a cross-validation costs beside the trainings in it, and when nothing is left to do."""

from __future__ import annotations

import logging
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from fire.decorators import SetParseFns

from common.errors import InputError
from tools.bench.child import run_measured
from tools.bench.device import describe_device
from tools.bench.progress import progress_on_stderr
from tools.bench.table import Row, as_text
from tools.command_line import reject, whole_number
from tools.convert.ctc import convert_ctc
from tools.runs.folds import read_datalist
from tools.sample.ctc import write_sample
from tools.sample.embryo import SPACING_UM
from tools.toolbox import read_toolbox

__all__ = ["crossval", "weights_difference"]

logger = logging.getLogger(__name__)

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "devonet_nsn"
FOLDS = (0, 1)
MOST_TIMES, MOST_SECONDS = 1.15, 20
ABOUT = (
    "Seconds of whole commands, one after another: training on fold 0, crossval, training on fold 1, crossval again.\n"
    "crossval also evaluates both networks on their fold and on the test, averages their probabilities and reports."
)


@SetParseFns(dataset_dir=str, max_epochs=str)
def crossval(*extra, dataset_dir: str = "", max_epochs: str = "30", **unknown) -> str:
    """Print how long a cross-validation of devonet_nsn over two folds takes, and two plain trainings, side by side.

    Parameters
    ----------
    dataset_dir : str
        Dataset with two folds at least; without it a synthetic sample is made.
    max_epochs : int
        Epochs of each training; fewer make what is not training weigh more.
    """
    reject(unknown, crossval, extra)
    overrides = {key: str(value) for key, value in read_toolbox(BUNDLE).quickstart.items()}
    overrides["max_epochs"] = str(whole_number("max_epochs", max_epochs, minimum=1))
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-crossval-") as folder:
        folder = Path(folder)
        dataset = Path(dataset_dir) if dataset_dir else _make_sample(folder)
        name = read_datalist(dataset, len(FOLDS)).name
        rows = _measure(dataset, folder, overrides)
    about = [
        f"data: {name}",
        f"overrides: {shlex.join(_words(overrides))}",
        f"device: {describe_device()}",
    ]
    return "\n".join([*about, "", as_text(rows), "", ABOUT])


def weights_difference(first: Path, second: Path) -> float:
    """Largest difference between two networks' weights.

    Parameters
    ----------
    first, second : Path
        model.pt

    Returns
    -------
    float
        0 where they are identical.

    Raises
    ------
    InputError
        If they are not of one architecture.
    """
    one, other = (torch.load(path, map_location="cpu", weights_only=True) for path in (first, second))
    if {name: value.shape for name, value in one.items()} != {name: value.shape for name, value in other.items()}:
        raise InputError(f"{first}: another architecture than {second}; train both with the same options")
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def _measure(dataset: Path, folder: Path, overrides: Mapping[str, str]) -> list[Row]:
    whole = [
        *(sys.executable, "-m", "tools", "crossval", str(BUNDLE), "--dataset_dir", str(dataset)),
        *("--num_fold", str(len(FOLDS)), "--num_processes", "1", "--output_dir", str(folder / "whole")),
        *_words(overrides),
    ]
    commands = {
        "fold 0": _training(dataset, folder, 0, overrides),
        "whole": whole,
        "fold 1": _training(dataset, folder, 1, overrides),
        "again": whole,
    }
    seconds = {}
    for name, command in commands.items():
        logger.info("%s", shlex.join(command))
        seconds[name], _ = run_measured(command)
    plain = seconds["fold 0"] + seconds["fold 1"]
    ratio = seconds["whole"] / plain
    difference = max(
        weights_difference(_weights(folder / "plain", fold), _weights(folder / "whole" / BUNDLE.name, fold))
        for fold in FOLDS
    )
    return [
        Row(
            "two folds by crossval, two plain trainings",
            *(f"{seconds['whole']:.1f} s", f"{plain:.1f} s", f"{ratio:.2f} x"),
            *(f"<= {MOST_TIMES:g} x", "yes" if ratio <= MOST_TIMES else "no"),
        ),
        Row(
            "crossval again, when all is done",
            *(f"{seconds['again']:.1f} s", "", ""),
            *(f"<= {MOST_SECONDS} s", "yes" if seconds["again"] <= MOST_SECONDS else "no"),
        ),
        Row("weights, largest difference between both", f"{difference:.2g}"),
    ]


def _training(dataset: Path, folder: Path, fold: int, overrides: Mapping[str, str]) -> list[str]:
    return [
        *(sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(BUNDLE / "configs/train.json")),
        *("--bundle_root", str(BUNDLE), "--dataset_dir", str(dataset), "--fold", str(fold)),
        *("--output_dir", str(folder / "plain" / f"fold_{fold}"), *_words(overrides)),
    ]


def _weights(folder: Path, fold: int) -> Path:
    return folder / f"fold_{fold}" / "model.pt"


def _words(overrides: Mapping[str, str]) -> Sequence[str]:
    return [word for key, value in overrides.items() for word in (f"--{key}", value)]


def _make_sample(folder: Path) -> Path:
    """Synthetic embryos: two to train on in turn, one for testing."""
    logger.info("making a synthetic sample")
    write_sample(folder / "source", num_sequences=3, num_frames=2)
    name = "synthetic embryos (python -m tools sample devonet_nsn)"
    convert_ctc(folder / "source", folder / "sample", spacing=SPACING_UM, num_folds=len(FOLDS), test=["03"], name=name)
    return folder / "sample"
