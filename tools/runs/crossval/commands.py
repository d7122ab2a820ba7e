"""The verb that trains and evaluates bundles over the folds of a dataset, and compares them and their ensembles."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fire.decorators import SetParseFn

from tools.command_line import whole_number
from tools.errors import InputError
from tools.performance import TITLES
from tools.runs.blocks import as_html, as_markdown
from tools.runs.choices import check_overrides, read_json
from tools.runs.crossval.contest import pairs, ranking, worst_cases
from tools.runs.crossval.datalist import Datalist, read_datalist
from tools.runs.crossval.datastats import summarise_datastats, write_datastats
from tools.runs.crossval.ensembles import Member, best_n
from tools.runs.crossval.evaluation import choose_ensembles, draw_worst, evaluate_ensemble, run_inference
from tools.runs.crossval.processes import check_multi_gpu, count_processes
from tools.runs.crossval.report import report_blocks
from tools.runs.crossval.results import case_name, collect_bundle, common_metric, evaluated_metrics
from tools.runs.crossval.steps import find_bundles, make_plan, why_no_probabilities
from tools.runs.crossval.training import key_metric, write_progress
from tools.runs.executor import run_plan, write_text
from tools.runs.plan import Plan, validation_override

__all__ = ["crossval"]

logger = logging.getLogger(__name__)

FLAGS = ("dataset_dir", "num_fold", "num_best", "num_processes", "output_dir")
OWN = {"fold": "choose with --num_fold"}
NUM_WORST = 3


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
def crossval(
    bundle: str,
    *more,
    dataset_dir: str | None = None,
    num_fold: str = "",
    num_best: str = "2",
    num_processes: str = "",
    output_dir: str = "crossval",
    **overrides,
) -> str:
    """Train and evaluate bundles on every fold of a dataset; compare them and their ensembles in a report.

    What has finished is not run again, and an interrupted training goes on. Further options, such as --max_epochs 5,
    override keys of every bundle's train.json.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder; further ones follow.
    dataset_dir : str
        Converted dataset with folds; its testing images judge the ensembles.
    num_fold : str
        Use so many folds, from 0; all without it.
    num_best : str
        Members of the ensemble of the best networks of all bundles and folds.
    num_processes : str
        Train over so many processes, with multi_gpu_train.json; without it one on each GPU, or one on the CPU.
    output_dir : str
        Folder for report.md, report.html, report.json, datastats.yaml, and of each bundle BUNDLE/fold_FOLD/ with
        model.pt, progress.yaml, validation/, testing/ and inference/.
    """
    if not dataset_dir:
        raise InputError("--dataset_dir missing; give a converted dataset with folds")
    roots, folder = find_bundles((bundle, *more)), Path(output_dir)
    for root in roots.values():
        check_overrides(overrides, read_json(root / "configs/train.json"), OWN, FLAGS, "crossval")
    processes = count_processes(num_processes)
    for root in roots.values() if processes > 1 else ():
        check_multi_gpu(root, overrides)
    datalist = read_datalist(Path(dataset_dir), whole_number("num_fold", num_fold, minimum=2) if num_fold else None)
    num_members = whole_number("num_best", num_best, minimum=2)
    key_metrics = {name: key_metric(root) for name, root in roots.items()}
    metric = common_metric({name: evaluated_metrics(r) for name, r in roots.items()}, next(iter(key_metrics.values())))
    validations = {name: validation_override(root) for name, root in roots.items()}
    plans = {name: make_plan(root, datalist, folder, overrides, processes) for name, root in roots.items()}
    folder.mkdir(parents=True, exist_ok=True)
    data = summarise_datastats(write_datastats(datalist, folder / "datastats.yaml"))
    for name, plan in plans.items():
        run_plan(plan, validations[name])
    courses = {name: _courses(plan, key_metrics[name]) for name, plan in plans.items()}
    report = {
        "dataset": datalist.name,
        "folds": list(datalist.folds),
        "overrides": dict(sorted(overrides.items())),
        "metric": metric,
        "splits": list(next(iter(plans.values())).splits),
        "data": data,
        "bundles": {name: _bundle(plan, courses[name], key_metrics[name]) for name, plan in plans.items()},
    }
    return _report(report, plans, courses, datalist, num_members, folder)


def _report(
    report: dict[str, object],
    plans: Mapping[str, Plan],
    courses: Mapping[str, Mapping[int, list[dict]]],
    datalist: Datalist,
    num_best: int,
    folder: Path,
) -> str:
    """Ensembles, ranking and pictures of what was measured, written with it; the text of the report."""
    members, report["without_probabilities"] = _members(plans, datalist, courses)
    report["ensembles"] = _ensembles(report, choose_ensembles(members, num_best), datalist, folder)
    report |= _contest(report)
    text = _write(report, courses, _draw_worst(report, plans, members, datalist, folder), folder)
    refused = [f"{name}: {found['refused']}" for name, found in report["ensembles"].items() if "refused" in found]
    if refused:
        raise InputError(f"the report is written, but an ensemble is refused. {' '.join(refused)}")
    return text


def _courses(plan: Plan, metric: str) -> dict[int, list[dict]]:
    """Fold -> content of its progress.yaml."""
    return {fold: write_progress(plan.folder("", fold), metric) for fold in plan.folds}


def _members(
    plans: Mapping[str, Plan], datalist: Datalist, courses: Mapping[str, Mapping[int, list[dict]]]
) -> tuple[list[Member], dict[str, str]]:
    """Networks with probabilities of the testing images, and why bundles have none."""
    members, absent = [], {}
    for name, plan in plans.items():
        reason = why_no_probabilities(plan.bundle)
        if reason:
            absent[name] = reason
        elif datalist.testing:
            best = {fold: entries[-1]["best_avg_dice_score"] for fold, entries in courses[name].items()}
            members += run_inference(plan, datalist, best)
    return members, absent


def _bundle(plan: Plan, courses: Mapping[int, list[dict]], metric: str) -> dict[str, object]:
    found = collect_bundle(plan)
    for fold, entries in courses.items():
        best = entries[-1]["best_avg_dice_score"]
        found["folds"][str(fold)]["best_score"] = best if math.isfinite(best) else None  # no case defines it
    return {"key_metric": metric, **found}


def _ensembles(
    report: Mapping, ensembles: Mapping[str, Sequence[Member]], datalist: Datalist, folder: Path
) -> dict[str, dict]:
    if not ensembles:
        return {}
    splits = [found["splits"]["testing"] for found in report["bundles"].values()]
    unit_of = {case: unit for split in splits for case, unit in split["unit_of"].items()}
    return {
        name: evaluate_ensemble(chosen, datalist, folder / "ensembles", splits[0]["unit"], unit_of)
        for name, chosen in ensembles.items()
    }


def _contest(report: Mapping) -> dict[str, dict]:
    """Ranking and pairs on each split, and the worst cases of the last."""
    metric, contest = report["metric"], {"ranking": {}, "pairs": {}}
    for split in report["splits"]:
        competitors = {name: found["splits"][split] for name, found in report["bundles"].items()}
        if split == "testing":
            competitors |= _distinct(report["ensembles"])
        unit_of = {case: unit for of in competitors.values() for case, unit in of.get("unit_of", {}).items()}
        scores = {name: of["metrics"][metric]["cases"] for name, of in competitors.items() if metric in of["metrics"]}
        contest["ranking"][split], contest["pairs"][split] = ranking(scores, unit_of), pairs(scores, unit_of)
    worst = {
        name: [
            {"case": case, "score": score}
            for case, score in worst_cases(found["splits"][report["splits"][-1]]["metrics"][metric]["cases"], NUM_WORST)
        ]
        for name, found in report["bundles"].items()
    }
    return contest | {"worst": worst}


def _distinct(ensembles: Mapping[str, dict]) -> dict[str, dict]:
    """Ensembles that were scored, by the names they compete under; of those with the same members the first."""
    by_members: dict[frozenset, tuple[str, dict]] = {}
    for name, found in ensembles.items():
        if "metrics" in found:
            by_members.setdefault(frozenset(found["members"]), (f"ensemble, {name}", found))
    return dict(by_members.values())


def _draw_worst(
    report: Mapping, plans: Mapping[str, Plan], members: Sequence[Member], datalist: Datalist, folder: Path
) -> dict[str, Path]:
    """Overlays of the worst testing cases, by the network of each bundle that validated best."""
    pictures = {}
    items = {case_name(datalist.folder / str(i["image"]), datalist.folder): i for i in datalist.testing}
    for name, plan in plans.items():
        chosen = best_n([member for member in members if member.bundle == name], 1)
        worst = [items[of["case"]] for of in report["worst"][name] if of["case"] in items]
        if chosen:
            drawn = draw_worst(plan, chosen[0], worst, folder / "pictures")
            pictures |= {f"worst {name} {case}": picture for case, picture in drawn.items()}
    return pictures


def _write(
    report: Mapping, courses: Mapping[str, Mapping[int, list[dict]]], overlays: Mapping[str, Path], folder: Path
) -> str:
    """Plots and the three reports; gives the text."""
    from tools.runs.crossval.pictures import draw_courses, draw_scores  # matplotlib is slow to import

    pictures = {**overlays, "courses": folder / "pictures" / "courses.png"}
    metrics = {name: found["key_metric"] for name, found in report["bundles"].items()}
    lines = {
        f"{name}, fold {fold}": {entry["epoch"]: entry[metrics[name]] for entry in entries}
        for name, of in courses.items()
        for fold, entries in of.items()
    }
    draw_courses(pictures["courses"], lines, ", ".join(dict.fromkeys(TITLES.get(m, m) for m in metrics.values())))
    for split in report["splits"]:
        pictures[split] = folder / "pictures" / f"{split}.png"
        draw_scores(pictures[split], _dots(report, split), f"{TITLES[report['metric']]}, {split}")
    blocks = report_blocks(report, pictures)
    text = as_markdown(blocks, folder)
    write_text(folder / "report.json", json.dumps(report, indent=4, allow_nan=False) + "\n")
    write_text(folder / "report.html", as_html(blocks, blocks[0].text))
    write_text(folder / "report.md", text)
    logger.info("written: report.md, report.html and report.json in %s", folder)
    return text


def _dots(report: Mapping, split: str) -> dict[str, list[float]]:
    """Defined scores by case of every bundle and fold, and of every ensemble."""
    metric, dots = report["metric"], {}
    for name, found in report["bundles"].items():
        for fold, scores in found["splits"][split]["metrics"][metric]["cases_by_fold"].items():
            dots[f"{name}, fold {fold}"] = [score for score in scores.values() if score is not None]
    for name, found in _distinct(report["ensembles"]).items() if split == "testing" else ():
        if metric in found["metrics"]:
            dots[name] = [s for s in found["metrics"][metric]["cases"].values() if s is not None]
    return dots
