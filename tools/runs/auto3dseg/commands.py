"""The verb that registers bundles as algorithms of Auto3DSeg: by templates, copies with the scripts that it calls."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from fire.decorators import SetParseFn

from common.datalist import read_dataset
from common.errors import InputError
from common.json_file import read_json
from tools.bundles import all_bundles
from tools.command_line import as_verb
from tools.runs.bundles import evaluated_metrics, find_bundles, key_metric, why_no_probabilities
from tools.runs.crossval.datastats import write_datastats
from tools.runs.files import write_text
from tools.runs.folds import Folds, fitting, read_separate_folds
from tools.share.checks import copy_shared
from tools.toolbox import read_toolbox

__all__ = ["algo_name", "auto3dseg", "score_override", "template_settings", "write_template"]

logger = logging.getLogger(__name__)

WORK_DIR = Path("work_dir")  # as AutoRunner calls it
SCRIPTS = Path(__file__).parent / "template"
PLACEHOLDER = "TemplateAlgo"


@SetParseFn(str)
@as_verb(dst=Path, dataset_dir=Path, work_dir=Path)
def auto3dseg(
    dst: Path, *bundles: str, dataset_dir: Path | None = None, work_dir: Path = WORK_DIR
) -> dict[str, object]:
    """Write templates of bundles for MONAI's Auto3DSeg, and what its AutoRunner needs to train them on a dataset.

    BundleGen and AutoRunner take DST as templates_path_or_url and then need no internet. An algorithm has the name of
    its bundle without underscores.

    Parameters
    ----------
    dst : str
        Folder for the templates, one folder each, followed by names of bundles, or their folders. By default all
        bundles that give probabilities of a mask, or instances that SEG measures.
    dataset_dir : str
        Converted dataset with folds. With it, AutoRunner's input.yaml and datastats.yaml are written too, since its
        own analysis of the data cannot read large TIFF files and takes every object for a class.
    work_dir : str
        AutoRunner's folder, for these two; only with a dataset.
    """
    if work_dir != WORK_DIR and not dataset_dir:
        raise InputError("--work_dir without --dataset_dir: give the dataset that AutoRunner should train on")
    roots = _choose(bundles)
    names = [algo_name(root) for root in roots]
    for name in names:
        _check_free(dst / name)
    # AutoRunner leaves out what cannot read the dataset
    found = read_separate_folds(dataset_dir, bundles=fitting(read_dataset(dataset_dir), roots)) if dataset_dir else None
    if found and (work_dir / "input.yaml").exists():
        raise InputError(f"{work_dir}: holds an input.yaml of Auto3DSeg already; give another --work_dir")
    dst.mkdir(parents=True, exist_ok=True)
    for root in roots:
        logger.info("wrote %s", write_template(root, dst))
    written = {"templates": dst, "algos": ", ".join(names)}
    return written | (_write_input(found, dst, work_dir, names) if found else {})


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
    _check_free(target)
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


def _check_free(target: Path) -> None:
    """Refuse to replace a template."""
    if target.exists():
        raise InputError(f"{target}: exists already; delete it, or write to another folder")


def _choose(names: Sequence[str]) -> list[Path]:
    """Folders of the named bundles; without a name, of all that can be algorithms."""
    if names:
        roots = list(find_bundles(tuple(names)).values())
        for root in roots:
            template_settings(root)
        return roots
    chosen = []
    for bundle in all_bundles():
        try:
            template_settings(bundle)
            chosen.append(bundle)
        except InputError as error:
            logger.info("left out: %s", error)
    return chosen


def _write_input(found: Folds, folder: Path, work: Path, names: Sequence[str]) -> dict[str, object]:
    """Write datastats.yaml and input.yaml; what to run then."""
    write_datastats(found, work / "datastats.yaml")
    content = {
        "modality": "microscopy",
        "dataroot": str(found.dataset.folder.resolve()),
        "datalist": str(found.dataset.path.resolve()),
        "templates_path_or_url": str(folder.resolve()),
        "algos": list(names),
        "work_dir": str(work.resolve()),
        "analyze": False,
    }
    write_text(work / "input.yaml", yaml.safe_dump(content, sort_keys=False))
    return {"then run": f"python -m monai.apps.auto3dseg AutoRunner run --input {work / 'input.yaml'}"}


def _write_scripts(folder: Path, class_name: str) -> None:
    """The scripts, with the algorithm's class under the name that Auto3DSeg makes of its folder."""
    folder.mkdir()
    for file in sorted(SCRIPTS.glob("*.py")):
        text = file.read_text(encoding="utf-8").replace(PLACEHOLDER, class_name)
        (folder / file.name).write_text(text, encoding="utf-8")
