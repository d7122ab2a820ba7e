"""Speed, memory and loading of the nuclear segmentation bundle, driven through its configs only."""

from __future__ import annotations

import copy
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from fire.decorators import SetParseFns
from monai.bundle import ConfigWorkflow

from common.errors import InputError
from tools.bench.bundle_config import existing_weights, network_with_weights
from tools.bench.child import run_measured
from tools.bench.device import describe_device
from tools.bench.progress import progress_on_stderr
from tools.bench.side_by_side import measure
from tools.bench.table import Row, as_text
from tools.bench.waiting import WaitingTime
from tools.command_line import reject, whole_number
from tools.convert.ctc import convert_ctc
from tools.convert.nifti import write_volume
from tools.sample.ctc import write_sample
from tools.sample.embryo import SPACING_UM

__all__ = ["compare_inference", "nsn", "peak_memory", "waiting_for_data"]

logger = logging.getLogger(__name__)

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "devonet_nsn"
CONFIGS = BUNDLE / "configs"
QCANET = {"_target_": "tools.bench.qcanet.CentralCropInferer"}
BIG_SHAPE = (64, 1024, 1024)


@SetParseFns(dataset_dir=str, train_dir=str, ckpt_path=str, init_channels=str, num_volumes=str, memory=str)
def nsn(
    *extra,
    dataset_dir: str = "",
    train_dir: str = "",
    ckpt_path: str = "",
    init_channels: str = "",
    num_volumes: str = "6",
    memory: str = "True",
    **unknown,
) -> str:
    """Print ratios of devonet_nsn's speed, memory and loading, measured side by side.

    Parameters
    ----------
    dataset_dir : str
        Dataset with labelled images under testing; without it a synthetic sample is made.
    train_dir : str
        Dataset to measure the loading on; else dataset_dir, if it has images under training, else the sample.
    ckpt_path, init_channels : str
        Weights to use and their width, instead of the shipped ones.
    num_volumes : int
        Number of testing volumes, at least 3, spread evenly over the list.
    memory : bool
        False leaves out the large volume, which takes minutes.
    """
    reject(unknown, nsn, extra)
    num_volumes = whole_number("num_volumes", num_volumes, minimum=3)
    if memory not in ("True", "False"):
        raise InputError(f"--memory {memory}: expected True or False")
    overrides = {"bundle_root": str(BUNDLE), "ckpt_path": str(existing_weights(BUNDLE, ckpt_path))}
    if init_channels:
        overrides["init_channels"] = whole_number("init_channels", init_channels, minimum=1)
    with progress_on_stderr(), tempfile.TemporaryDirectory(prefix="bench-nsn-") as folder:
        folder = Path(folder)
        test, train = _datasets(dataset_dir, train_dir, folder)
        rows = [*peak_memory(folder / "large", overrides)] if memory == "True" else []
        rows += compare_inference(overrides | {"dataset_dir": str(test)}, num_volumes)
        rows += waiting_for_data(overrides | {"dataset_dir": str(train), "output_dir": str(folder / "training")})
        about = [f"{key}: {_name(path, folder)}" for key, path in (("inference on", test), ("training on", train))]
        return "\n".join([*about, f"device: {describe_device()}", "", as_text(rows)])


def compare_inference(overrides: Mapping[str, object], num_volumes: int) -> list[Row]:
    """The bundle's inference against QCANet's scheme, and against plain float32; same network, same volumes.

    Parameters
    ----------
    overrides : mapping
        Overrides of train.json and evaluate.json.
    num_volumes : int
        Number of volumes; the ways take turns on each, after a warm-up.

    Returns
    -------
    list of Row
        Medians of the time per volume and of its ratio, and mean IoU in the original grid.
    """
    changes = {"ours": {}, "qcanet": {"validate#inferer#inferer": QCANET}, "float32": {"amp": False}}
    parsers = {way: _workflow(["train", "evaluate"], {**overrides, **change}).parser for way, change in changes.items()}
    inferers = {way: parser.get_parsed_content("validate#inferer") for way, parser in parsers.items()}
    network = network_with_weights(parsers["ours"])
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    seconds, ious = measure(
        {way: (inferer, plain if way == "float32" else network) for way, inferer in inferers.items()},
        parsers["ours"].get_parsed_content("validate#dataset"),
        parsers["ours"].get_parsed_content("validate#postprocessing"),
        num_volumes=num_volumes,
    )
    gain = {way: statistics.median(np.divide(seconds[way], seconds["ours"])) for way in changes}
    median = {way: f"{statistics.median(seconds[way]):.2f} s" for way in changes}
    mean = {way: float(np.mean(ious[way])) for way in changes}
    return [
        Row(
            "inference, QCANet's scheme: time per volume",
            median["ours"],
            median["qcanet"],
            f"{gain['qcanet']:.1f} x faster",
            ">= 3 x",
            _yes(gain["qcanet"] >= 3),
        ),
        Row(
            "inference, QCANet's scheme: mean IoU",
            f"{mean['ours']:.4f}",
            f"{mean['qcanet']:.4f}",
            f"{mean['ours'] - mean['qcanet']:+.4f}",
            ">= 0",
            _yes(mean["ours"] >= mean["qcanet"]),
        ),
        Row(
            "inference, plain float32: time per volume",
            median["ours"],
            median["float32"],
            f"{gain['float32']:.1f} x faster",
        ),
        Row(
            "inference, plain float32: mean IoU",
            f"{mean['ours']:.4f}",
            f"{mean['float32']:.4f}",
            f"{mean['ours'] - mean['float32']:+.4f}",
        ),
    ]


def peak_memory(folder: Path, overrides: Mapping[str, object], *, shape: tuple[int, int, int] = BIG_SHAPE) -> list[Row]:
    """Peak memory of inference.json, as a user runs it, on one synthetic uint16 volume.

    Parameters
    ----------
    folder : Path
        New folder to work in.
    overrides : mapping
        Overrides of inference.json.
    shape : tuple of int
        Size of the volume as (Z, Y, X); its spacing is one that the bundle has to resample.

    Returns
    -------
    list of Row
    """
    (folder / "images").mkdir(parents=True)
    volume = np.random.default_rng(0).integers(100, 1000, shape, dtype=np.uint16)
    write_volume(folder / "images" / "large.nii.gz", volume, SPACING_UM)
    del volume
    settings = {"dataset_dir": str(folder / "images"), "output_dir": str(folder / "results")} | dict(overrides)
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIGS / "inference.json")]
    seconds, peak = run_measured([*command, *(f"--{key}={value}" for key, value in settings.items())])
    size = "x".join(map(str, shape))
    gib = peak / 2**30
    return [
        Row(f"inference of {size} uint16: peak memory", f"{gib:.2f} GiB", "", "", "< 8 GiB", _yes(gib < 8)),
        Row(f"inference of {size} uint16: time with start", f"{seconds:.0f} s"),
    ]


def waiting_for_data(overrides: Mapping[str, object], *, num_epochs: int = 3) -> list[Row]:
    """Share of the training, after its first epoch, in which the loop waits for data.

    Parameters
    ----------
    overrides : mapping
        Overrides of train.json, with an ``output_dir`` to write checkpoints to.
    num_epochs : int
        Number of epochs, at least 2; none is followed by a validation.

    Returns
    -------
    list of Row
    """
    schedule = {"max_epochs": num_epochs, "warmup_epochs": 1, "val_interval": num_epochs + 1}
    workflow = _workflow(["train"], dict(overrides) | schedule)
    waiting = WaitingTime()
    waiting.attach(workflow.parser.get_parsed_content("train#trainer"))
    workflow.run()
    return [
        Row(
            "training: share of time waiting for data",
            f"{100 * waiting.share:.1f} %",
            target="< 5 %",
            met=_yes(waiting.share < 0.05),
        )
    ]


def _workflow(configs: list[str], overrides: Mapping[str, object]) -> ConfigWorkflow:
    files = [str(CONFIGS / f"{name}.json") for name in configs]
    workflow = ConfigWorkflow(files, workflow_type=None, logging_file=False, **overrides)
    workflow.initialize()
    return workflow


def _datasets(dataset_dir: str, train_dir: str, folder: Path) -> tuple[Path, Path]:
    """Folders to infer and to train on; the synthetic sample is made where it is needed."""
    test, train = Path(dataset_dir) if dataset_dir else None, Path(train_dir) if train_dir else None
    if train is None and test is not None and _count(test, "training"):
        train = test
    for path, section in ((test, "testing"), (train, "training")):
        if path is not None and not _count(path, section):
            raise InputError(f"{path / 'dataset.json'}: nothing under {section}; give another folder")
    if test is None or train is None:
        logger.info("making a synthetic sample")
        write_sample(folder / "source", num_sequences=4, num_frames=3)
        convert_ctc(folder / "source", folder / "sample", spacing=SPACING_UM, num_folds=3, test=["04"])
    return test or folder / "sample", train or folder / "sample"


def _count(dataset_dir: Path, section: str) -> int:
    path = dataset_dir / "dataset.json"
    try:
        return len(json.loads(path.read_text(encoding="utf-8")).get(section, []))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: not a MONAI datalist ({error}); give a converted dataset") from error


def _name(dataset_dir: Path, folder: Path) -> str:
    """Name of a dataset as it calls itself."""
    if dataset_dir == folder / "sample":
        return "synthetic embryos (python -m tools sample devonet_nsn)"
    return json.loads((dataset_dir / "dataset.json").read_text(encoding="utf-8")).get("name", dataset_dir.name)


def _yes(met: bool) -> str:
    return "yes" if met else "no"
