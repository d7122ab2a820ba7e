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

from tools.command_line import reject
from tools.errors import InputError
from tools.recipes import RECIPES, Recipe
from tools.runs.warm import run_step

__all__ = ["commands", "quickstart"]

BUNDLES = Path(__file__).parents[1] / "bundles"


@SetParseFns(bundle=str, destination=str)
def quickstart(*extra, bundle: str = "devonet_nsn", destination: str = "quickstart", **unknown) -> dict[str, object]:
    """Synthetic sample, convert, train a few epochs, evaluate, infer, draw: a first result within minutes.

    Parameters
    ----------
    bundle : str
        Name of the bundle to try.
    destination : str
        Folder to write to; every bundle gets its own folder in it. Shipped weights are not touched.
    """
    reject(unknown, quickstart, extra)
    if bundle not in RECIPES:
        raise InputError(f"--bundle {bundle}: no such bundle; choose one of {', '.join(sorted(RECIPES))}")
    folder = Path(destination) / bundle
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for step, command in commands(bundle, RECIPES[bundle], folder):
        run_step(step, command, folder / "logs" / f"{step}.log")
    scores = _read_scores(folder / "evaluation" / "metrics.csv")
    picture = _draw(RECIPES[bundle], folder)
    return {
        **{f"{metric} (synthetic test)": f"{score:.4f}" for metric, score in scores.items()},
        "minutes": f"{(time.monotonic() - started) / 60:.1f}",
        "results": folder / "results",
        "picture": picture,
    }


def commands(bundle: str, recipe: Recipe, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of the quick start, as a user would type them.

    Parameters
    ----------
    bundle : str
        Name of the bundle.
    recipe : Recipe
    folder : Path
        Where everything is written.

    Yields
    ------
    step : str
        Short name of the step.
    command : list of str
        Program and arguments, starting with ``python``.
    """
    root = Path(os.path.relpath(BUNDLES / bundle))
    configs = {name: root / "configs" / f"{name}.json" for name in ("train", "evaluate", "inference")}
    run = ["python", "-m", "monai.bundle", "run"]
    common = ["--bundle_root", str(root), "--dataset_dir", str(folder / "dataset")]
    overrides = [word for key, value in {**recipe.train, **recipe.offline}.items() for word in (f"--{key}", value)]
    inference_knobs = json.loads((BUNDLES / bundle / "configs" / "inference.json").read_text())
    inherited = [word for key in recipe.train if key in inference_knobs for word in (f"--{key}", recipe.train[key])]
    weights = ["--ckpt_path", str(folder / "training" / "model.pt")]
    both = f"['{configs['train'].as_posix()}','{configs['evaluate'].as_posix()}']"
    yield "sample", ["python", "-m", "tools", "sample", bundle, str(folder / "source")]
    yield (
        "convert",
        ["python", "-m", "tools", "convert", recipe.convert[0], str(folder / "source"), str(folder / "dataset")]
        + list(recipe.convert[1:]),
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


def _draw(recipe: Recipe, folder: Path) -> Path:
    from tools.overlay import overlay

    dataset = folder / "dataset"
    item = json.loads((dataset / "dataset.json").read_text())["testing"][-1]
    name = Path(item["image"]).name
    name = name.removesuffix(".gz").removesuffix(Path(name.removesuffix(".gz")).suffix)
    (result,) = (folder / "results").glob(f"{glob.escape(name)}_{recipe.result_kind}.*")
    overlay(str(dataset / item["image"]), str(result), str(folder / "overlay.png"), label=str(dataset / item["label"]))
    return folder / "overlay.png"
