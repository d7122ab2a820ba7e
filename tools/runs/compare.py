"""The verb that trains the networks of a bundle, or other values of a knob, on the same folds, side by side."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from fire.decorators import SetParseFn

from tools.bundles import bundles_dir, find_bundle
from tools.command_line import reject
from tools.errors import InputError
from tools.runs.choices import check_overrides, choose, read_folds, read_json
from tools.runs.executor import run_plan, write_text
from tools.runs.knobs import choose_knob
from tools.runs.plan import Plan, validation_override
from tools.runs.results import collect
from tools.runs.table import as_text

__all__ = ["compare"]

logger = logging.getLogger(__name__)


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
def compare(
    bundle: str,
    *extra,
    dataset_dir: str | None = None,
    networks: str = "",
    knob: str = "",
    folds: str = "",
    output_dir: str = "",
    **overrides,
) -> str:
    """Train and evaluate networks, or values of any knob, on the same folds; print and write a table.

    What has finished is not run again, and an interrupted training goes on. Further options, such as --max_epochs 5,
    override keys of the bundle's train.json in all trainings and, unless its evaluate.json sets them, evaluations.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder; its metadata.json names the networks, if it offers several.
    dataset_dir : str
        Converted dataset with folds.
    networks : str
        Some of the networks, separated by commas; all without it.
    knob : str
        Instead of networks, values of any key of train.json: learning_rate=0.001,0.0001; lists in brackets.
    folds : str
        Folds to leave out and validate on, one training for each, separated by commas; all without it.
    output_dir : str
        Folder for compare.md, compare.json, weights and scores: NETWORK/fold_FOLD/model.pt, validation/, testing/.
        compare/BUNDLE without it, or of a key that chooses no network compare/BUNDLE/KEY, with VALUE for NETWORK.
    """
    reject({}, compare, extra)
    if not dataset_dir:
        raise InputError("--dataset_dir missing; give a converted dataset with folds")
    root = find_bundle(bundle)
    chosen = choose_knob(root, bundles_dir(), networks=networks, knob=knob)
    own = {chosen.name: f"choose with --{'knob' if knob else 'networks'}"}
    check_overrides(
        overrides, read_json(root / "configs/train.json"), own, ("networks", "knob", "folds", "dataset_dir")
    )
    known = read_folds(Path(dataset_dir))
    plan = Plan(
        bundle=root,
        dataset_dir=Path(dataset_dir),
        output_dir=Path(output_dir or Path("compare", root.resolve().name, "" if chosen.of_metadata else chosen.name)),
        knob=chosen.name,
        values=chosen.values,
        folds=choose(f"folds {folds}", folds, known.folds),
        splits=("validation", "testing") if known.has_testing else ("validation",),
        overrides=dict(sorted(overrides.items())),  # in another order it is the same command
    )
    run_plan(plan, validation_override(root))
    comparison = collect(plan)
    text = as_text(comparison)
    write_text(plan.output_dir / "compare.json", json.dumps(comparison, indent=4, allow_nan=False) + "\n")
    write_text(plan.output_dir / "compare.md", text + "\n")
    logger.info("written: compare.md and compare.json in %s", plan.output_dir)
    return text
