"""Plans of a cross-validation, and the inference that writes the probabilities for ensembles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from common.errors import InputError
from tools.bundles import find_bundle
from tools.runs.choices import read_json
from tools.runs.crossval.datalist import Datalist
from tools.runs.crossval.results import evaluated_metrics
from tools.runs.plan import RUN, Plan, Step, as_words, bundle_root, common_words

__all__ = ["find_bundles", "inference_steps", "make_plan", "threshold", "why_no_probabilities"]

SWITCH = "save_probability"
OVERLAPS = ("dice", "iou")


def find_bundles(names: tuple[str, ...]) -> dict[str, Path]:
    """Folders of bundles by their names.

    Raises
    ------
    InputError
        If one is unknown, or two have the same name.
    """
    found: dict[str, Path] = {}
    for name in names:
        root = find_bundle(str(name)).resolve()
        if root.name in found:
            raise InputError(
                f"{name}: {found[root.name]} has the same name; give every bundle once, under its own name"
            )
        found[root.name] = root
    return found


def make_plan(
    root: Path, datalist: Datalist, output_dir: Path, overrides: Mapping[str, str], num_processes: int = 1
) -> Plan:
    """The trainings and evaluations of one bundle, in a folder of its name."""
    return Plan(
        bundle=root,
        dataset_dir=datalist.folder,
        output_dir=output_dir / root.name,
        knob="",
        values=("",),
        folds=datalist.folds,
        splits=("validation", "testing") if datalist.testing else ("validation",),
        overrides=dict(sorted(overrides.items())),
        num_processes=num_processes,
    )


def why_no_probabilities(bundle: Path) -> str | None:
    """Why a bundle cannot take part in ensembles; None if it can."""
    config = read_json(bundle / "configs/inference.json")
    if SWITCH not in config:
        return "it writes objects, not probabilities that could be averaged"
    if not any(metric in OVERLAPS for metric in evaluated_metrics(bundle)):
        return "its probabilities are not those of a mask, which dice and iou measure"
    return None


def inference_steps(plan: Plan) -> Iterator[Step]:
    """Inference of every fold's network on ``testing``, with masks and probabilities in the folder ``inference``."""
    config = read_json(plan.bundle / "configs/inference.json")
    overrides = {key: value for key, value in plan.overrides.items() if key.replace("::", "#").split("#")[0] in config}
    for fold in plan.folds:
        folder = plan.folder("", fold)
        common = common_words(plan, fold)
        command = [
            *(*RUN, "--config_file", str(bundle_root(plan) / "configs/inference.json")),
            *common[: common.index("--fold")],
            *("--output_dir", str(folder / "inference"), "--ckpt_path", str(folder / "model.pt")),
            *(f"--{SWITCH}", "True", *as_words(overrides)),
        ]
        yield Step("", fold, "inference", command, (folder / "model.pt", plan.dataset_dir / "dataset.json"), ())


def threshold(plan: Plan) -> float:
    """At which a bundle makes its mask."""
    value = plan.overrides.get("threshold", read_json(plan.bundle / "configs/inference.json").get("threshold", 0.5))
    try:
        return float(value)
    except ValueError as error:
        raise InputError(f"--threshold {value}: expected a number between 0 and 1") from error
