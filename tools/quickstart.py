"""From nothing to a measured result and a picture: what a newcomer runs first."""

from __future__ import annotations

import csv
import glob
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from fire.decorators import SetParseFns

from tools.bundles import find_bundle
from tools.command_line import reject
from tools.runs.warm import run_step
from tools.toolbox import Toolbox, as_words, default_bundle, read_toolbox

__all__ = ["commands", "quickstart"]


@SetParseFns(bundle=str, destination=str)
def quickstart(*extra, bundle: str = "", destination: str = "quickstart", **unknown) -> dict[str, object]:
    """Synthetic sample, convert, train a few epochs, evaluate, infer, draw: a first result within minutes.

    Parameters
    ----------
    bundle : str
        Name of the bundle to try, or its folder; without it the one that suits a first look.
    destination : str
        Folder to write to; every bundle gets its own folder in it. Shipped weights are not touched.
    """
    reject(unknown, quickstart, extra)
    root = find_bundle(bundle) if bundle else default_bundle()
    toolbox = read_toolbox(root)
    folder = Path(destination) / root.resolve().name
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for step, command in commands(root, toolbox, folder):
        run_step(step, command, folder / "logs" / f"{step}.log")
    scores = _read_scores(folder / "evaluation" / "metrics.csv")
    picture = _draw(toolbox, folder)
    return {
        **{f"{metric} (synthetic test)": f"{score:.4f}" for metric, score in scores.items()},
        "minutes": f"{(time.monotonic() - started) / 60:.1f}",
        "results": folder / "results",
        "picture": picture,
    }


def commands(bundle: Path, toolbox: Toolbox, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of the quick start, as a user would type them.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.
    toolbox : Toolbox
        What its metadata say.
    folder : Path
        Where everything is written.

    Yields
    ------
    step : str
        Short name of the step.
    command : list of str
        Program and arguments, starting with ``python``.
    """
    root = Path(os.path.relpath(bundle))
    configs = {name: root / "configs" / f"{name}.json" for name in ("train", "evaluate", "inference")}
    run = ["python", "-m", "monai.bundle", "run"]
    common = ["--bundle_root", str(root), "--dataset_dir", str(folder / "dataset")]
    overrides = as_words({**toolbox.quickstart, **toolbox.offline})
    inference_knobs = json.loads((bundle / "configs" / "inference.json").read_text())
    inherited = as_words({key: value for key, value in toolbox.quickstart.items() if key in inference_knobs})
    weights = ["--ckpt_path", str(folder / "training" / "model.pt")]
    both = f"['{configs['train'].as_posix()}','{configs['evaluate'].as_posix()}']"
    yield "sample", ["python", "-m", "tools", "sample", bundle.name, str(folder / "source")]
    yield (
        "convert",
        ["python", "-m", "tools", "convert", toolbox.source.format, str(folder / "source"), str(folder / "dataset")]
        + list(toolbox.source.convert),
    )
    yield (
        "train",
        [*run, "training", "--config_file", str(configs["train"]), *common]
        + ["--output_dir", str(folder / "training"), *overrides],
    )
    yield (
        "evaluate",
        [*run, "--config_file", both, *common, "--output_dir", str(folder / "evaluation"), *weights, *inherited],
    )
    yield (
        "infer",
        [*run, "--config_file", str(configs["inference"]), *common]
        + ["--output_dir", str(folder / "results"), *weights, *inherited],
    )


def _read_scores(path: Path) -> dict[str, float]:
    with path.open(newline="") as file:
        return {metric: float(score) for metric, score in csv.reader(file)}


def _draw(toolbox: Toolbox, folder: Path) -> Path:
    from tools.overlay import overlay

    dataset = folder / "dataset"
    item = json.loads((dataset / "dataset.json").read_text())["testing"][-1]
    name = Path(item["image"]).name
    name = name.removesuffix(".gz").removesuffix(Path(name.removesuffix(".gz")).suffix)
    (result,) = (folder / "results").glob(f"{glob.escape(name)}_{toolbox.result}.*")
    overlay(str(dataset / item["image"]), str(result), str(folder / "overlay.png"), label=str(dataset / item["label"]))
    return folder / "overlay.png"
