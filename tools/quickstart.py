"""From nothing to a measured result and a picture: what a newcomer runs first."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from common.datalist import read_dataset
from common.json_file import read_json
from tools.bundles import find_bundle
from tools.card.evaluation import read_overall
from tools.command_line import as_verb
from tools.runs.executor import run_step
from tools.runs.files import find_result
from tools.runs.words import bundle_command
from tools.toolbox import Toolbox, default_bundle, read_toolbox

__all__ = ["commands", "quickstart"]


@as_verb()
def quickstart(*, bundle: str = "", destination: str = "quickstart") -> dict[str, object]:
    """Make a synthetic sample, convert it, train a few epochs, evaluate, segment and draw, within minutes.

    Parameters
    ----------
    bundle : str
        Name of the bundle to try, or its folder; by default the one best suited for a first look.
    destination : str
        Folder to write to; every bundle gets its own folder in it. Shipped weights are not touched.
    """
    root = find_bundle(bundle) if bundle else default_bundle()
    toolbox = read_toolbox(root)
    folder = Path(destination) / root.resolve().name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "results", ignore_errors=True)  # of the weights of an earlier call
    started = time.monotonic()
    for step, command in commands(root, toolbox, folder):
        run_step(step, command, folder / "logs" / f"{step}.log")
    scores = read_overall(folder / "evaluation", toolbox.metrics, allow_undefined=True)
    picture = _draw(toolbox, folder)
    return {
        **{f"{metric} (synthetic test)": f"{score:.4f}" for metric, score in scores.items()},
        "minutes": f"{(time.monotonic() - started) / 60:.1f}",
        "results": folder / "results",
        "picture": picture,
    }


def commands(bundle: Path, toolbox: Toolbox, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands of the quick start, as a user would type them, each with the short name of its step."""
    root = Path(os.path.relpath(bundle))
    configs = {name: root / f"configs/{name}.json" for name in ("train", "evaluate", "inference")}
    common = {"bundle_root": root, "dataset_dir": folder / "dataset"}
    inference_knobs = read_json(bundle / "configs/inference.json")
    inherited = {key: value for key, value in toolbox.quickstart.items() if key in inference_knobs}
    trained = common | {"output_dir": folder / "training", **toolbox.quickstart, **toolbox.offline}
    weights = {"ckpt_path": folder / "training/model.pt", **inherited}
    source, tools = str(folder / "source"), ["python", "-m", "tools"]
    yield "sample", [*tools, "sample", toolbox.source.format, source]
    yield (
        "convert",
        [*tools, "convert", toolbox.source.format, source, str(folder / "dataset"), *toolbox.source.convert],
    )
    yield "train", bundle_command([configs["train"]], trained, workflow="training")
    given = common | {"output_dir": folder / "evaluation", **weights}
    yield "evaluate", bundle_command([configs["train"], configs["evaluate"]], given)
    # not by tools segment, for which --spacing is that of the files, not the one that the network works at
    yield "infer", bundle_command([configs["inference"]], common | {"output_dir": folder / "results", **weights})


def _draw(toolbox: Toolbox, folder: Path) -> Path:
    from tools.overlay import overlay

    item = read_dataset(folder / "dataset").testing[-1]
    result = find_result(folder / "results", item.name, toolbox.result)
    overlay(item.image, result, folder / "overlay.png", label=item.file("label"))
    return folder / "overlay.png"
