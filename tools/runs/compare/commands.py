"""The verb that trains the networks of a bundle, or other values of a knob, on the same folds, side by side."""

import logging
from pathlib import Path

from fire.decorators import SetParseFn

from tools.bundles import find_bundle
from tools.command_line import as_verb, at_least, needed
from tools.runs.bundles import titles
from tools.runs.compare.knobs import choose_knob
from tools.runs.compare.table import as_text
from tools.runs.executor import run_plans
from tools.runs.files import write_json, write_text
from tools.runs.folds import read_folds, warn_of_leaks
from tools.runs.overrides import check_overrides, choose
from tools.runs.plan import Plan
from tools.runs.results import (
    Split,
    average_by_image,
    finite,
    read_split,
    read_trainings,
    seconds_per_image,
    summarise_images,
)
from tools.spreading import open_cluster

__all__ = ["compare"]

logger = logging.getLogger(__name__)


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
@as_verb(dataset_dir=needed("give a converted dataset with folds"), workers=at_least(1))
def compare(
    bundle: str,
    *,
    dataset_dir: Path,
    networks: str = "",
    knob: str = "",
    folds: str = "",
    output_dir: str = "",
    workers: int | None = None,
    scheduler: str = "",
    **overrides,
) -> str:
    """Train and evaluate networks, or values of any setting, on the same folds; print and write a table.

    Finished runs are not repeated, and an interrupted training continues. Further options, such as --max_epochs 5,
    override keys of the bundle's train.json in all trainings and, unless its evaluate.json sets them, evaluations.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder; its metadata.json names the networks, if it offers several.
    dataset_dir : str
        Converted dataset with folds.
    networks : str
        Some of the networks, separated by commas; by default all.
    knob : str
        Instead of networks, values of any key of train.json: learning_rate=0.001,0.0001; lists in brackets.
    folds : str
        Folds to leave out and validate on, one training for each, separated by commas; by default all.
    output_dir : str
        Folder for compare.md, compare.json, weights and scores: NETWORK/fold_FOLD/model.pt, validation/, testing/.
        By default compare/BUNDLE, or compare/BUNDLE/KEY with VALUE for NETWORK if the key chooses no network.
    workers : int
        Processes on this machine that train at the same time; by default one training runs after the other.
    scheduler : str
        Address of a Dask scheduler whose workers train instead, such as tcp://10.0.0.1:8786.
    """
    root = find_bundle(bundle)
    chosen = choose_knob(root, networks=networks, knob=knob)
    own = {chosen.name: f"choose with --{'knob' if knob else 'networks'}"}
    check_overrides(overrides, root, compare, own)
    known = read_folds(dataset_dir, root)
    warn_of_leaks(known.dataset, root)
    plan = Plan(
        bundle=root,
        dataset_dir=dataset_dir,
        output_dir=Path(output_dir or Path("compare", root.resolve().name, "" if chosen.of_metadata else chosen.name)),
        folds=choose(f"folds {folds}", folds, known.folds),
        splits=known.splits,
        overrides=overrides,
        knob=chosen.name,
        values=chosen.values,
    )
    with open_cluster(workers, scheduler) as spread:
        run_plans([plan], spread)
    comparison = collect(plan, known.dataset.name)
    text = as_text(comparison)
    write_json(plan.output_dir / "compare.json", comparison)
    write_text(plan.output_dir / "compare.md", text + "\n")
    logger.info("written: compare.md and compare.json in %s", plan.output_dir)
    return text


def collect(plan: Plan, dataset: str) -> dict[str, object]:
    """Everything that a plan has measured, as compare.json keeps it: undefined scores are None."""
    return {
        "bundle": plan.bundle.name,
        "dataset": dataset,
        "titles": titles(plan.bundle),
        "knob": plan.knob,
        "folds": list(plan.folds),
        "overrides": dict(sorted(plan.overrides.items())),
        "values": {value: _collect_value(plan, value) for value in plan.values},
    }


def _collect_value(plan: Plan, value: str) -> dict[str, object]:
    splits = {split: read_split(plan, split, value) for split in plan.splits}
    return {
        **read_trainings(plan, value),
        "seconds_per_image": seconds_per_image(plan, splits, value),
        "splits": {name: _collect_split(split) for name, split in splits.items()},
    }


def _collect_split(split: Split) -> dict[str, object]:
    metrics = {
        metric: summarise_images(average_by_image(list(by_fold.values())), split.unit_of)
        | {"overall_by_fold": {str(fold): finite(value) for fold, value in split.overall[metric].items()}}
        for metric, by_fold in split.scores.items()
    }
    units = set(split.unit_of.values())
    return {"images": len(split.unit_of), "units": len(units), "unit": split.unit, "metrics": metrics}
