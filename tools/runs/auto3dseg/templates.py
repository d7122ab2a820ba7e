"""Templates for Auto3DSeg: a copy of a bundle, with the scripts that Auto3DSeg calls."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from common.errors import InputError
from common.json_file import read_json
from tools.runs.bundles import evaluated_metrics, key_metric, why_no_probabilities
from tools.share.checks import copy_shared
from tools.toolbox import read_toolbox

__all__ = ["algo_name", "check_free", "score_override", "template_settings", "write_template"]

SCRIPTS = Path(__file__).parent / "template"
PLACEHOLDER = "TemplateAlgo"


def algo_name(bundle: Path) -> str:
    """Name of a bundle's algorithm: without underscores, by which Auto3DSeg separates name and fold."""
    return bundle.resolve().name.replace("_", "").lower()


def template_settings(bundle: Path) -> dict[str, Any]:
    """What a template's scripts need to know of its bundle.

    ``bundle``, ``score`` (metric by which trainings are ranked), ``result`` (kind of the file that its inference
    writes: ``prob``, or that of its instances) and ``spatial_dims``. InputError if it gives neither probabilities of a
    mask nor instances that SEG measures.
    """
    toolbox, reason = read_toolbox(bundle), why_no_probabilities(bundle)
    name = bundle.resolve().name
    settings: dict[str, Any] = {"bundle": name, "spatial_dims": toolbox.num_axes, "overrides": {}}
    if reason is None:
        return settings | {"score": key_metric(bundle), "result": "prob"}
    if "seg" not in evaluated_metrics(bundle):
        raise InputError(
            f"{name}: {reason}; and it is not measured by SEG, as bundles of instances are. Auto3DSeg makes masks of "
            "what it averages, so leave this bundle out"
        )
    return settings | {"score": "seg", "result": toolbox.result}


def score_override(train: Mapping[str, Any], score: str) -> dict[str, object]:
    """Overrides of train.json by which one of its metrics chooses the epoch too; empty where it is the key metric."""
    validate = train["validate"]
    if score in validate["key_metric"]:
        return {}
    metrics = validate["key_metric"] | validate["additional_metrics"]
    return {
        "validate#key_metric": {score: metrics[score]},
        "validate#additional_metrics": {name: metric for name, metric in metrics.items() if name != score},
    }


def write_template(bundle: Path, folder: Path) -> Path:
    """Write the template of a bundle into a folder, whole or not at all.

    ``folder/<name>`` is the bundle with its weights, ``scripts/`` and ``configs/hyper_parameters.yaml``; InputError if
    the bundle cannot be an algorithm, or there is one already.
    """
    name, settings = algo_name(bundle), template_settings(bundle)
    target, partial = folder / name, folder / f".partial-{name}"
    check_free(target)
    try:
        copy_shared(bundle, partial)
        _write_scripts(partial / "scripts", f"{name.capitalize()}Algo")
        settings_file = partial / "configs/hyper_parameters.yaml"
        settings_file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        override = score_override(read_json(bundle / "configs/train.json"), str(settings["score"]))
        if override:
            (partial / "configs/score.json").write_text(json.dumps(override, indent=4) + "\n", encoding="utf-8")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def check_free(target: Path) -> None:
    """Refuse to replace a template."""
    if target.exists():
        raise InputError(f"{target}: exists already; delete it, or write to another folder")


def _write_scripts(folder: Path, class_name: str) -> None:
    """The scripts, with the algorithm's class under the name that Auto3DSeg makes of its folder."""
    folder.mkdir()
    for file in sorted(SCRIPTS.glob("*.py")):
        text = file.read_text(encoding="utf-8").replace(PLACEHOLDER, class_name)
        (folder / file.name).write_text(text, encoding="utf-8")
