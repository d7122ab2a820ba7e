"""The verb that trains and evaluates bundles over the folds of a dataset, and compares them and their ensembles."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fire.decorators import SetParseFn

from common.errors import InputError
from tools.command_line import as_verb, at_least, needed
from tools.runs.bundles import common_metric, find_bundles, key_metric, ranking_metrics, titles, why_no_probabilities
from tools.runs.crossval.contest import pairs, ranking, worst_cases
from tools.runs.crossval.datastats import summarise_datastats, write_datastats
from tools.runs.crossval.ensembles import (
    Member,
    best_n,
    choose_ensembles,
    draw_worst,
    evaluate_ensemble,
    run_inference,
)
from tools.runs.crossval.report import report_blocks
from tools.runs.executor import run_plans
from tools.runs.files import write_json, write_text
from tools.runs.folds import Folds, read_separate_folds
from tools.runs.overrides import check_overrides
from tools.runs.plan import Plan, check_multi_gpu, count_processes, validation_override
from tools.runs.progress import write_progress
from tools.runs.results import described, finite, read_split, read_trainings
from tools.runs.table import as_html, as_markdown
from tools.spreading import Spread, open_cluster

__all__ = ["crossval"]

logger = logging.getLogger(__name__)

NUM_WORST = 3


@SetParseFn(str)  # overrides go on to monai.bundle as they were typed
@as_verb(
    dataset_dir=needed("give a converted dataset with folds"),
    num_best=at_least(2),
    num_processes=at_least(1),
    output_dir=Path,
    workers=at_least(1),
)
def crossval(
    bundle: str,
    *more: str,
    dataset_dir: Path,
    folds: str = "",
    num_best: int = 2,
    num_processes: int | None = None,
    output_dir: Path = Path("crossval"),
    workers: int | None = None,
    scheduler: str = "",
    **overrides,
) -> str:
    """Train and evaluate bundles on every fold of a dataset; compare them and their ensembles in a report.

    Finished runs are not repeated, and an interrupted training continues. Further options, such as --max_epochs 5,
    override keys of every bundle's train.json.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder; further ones follow.
    dataset_dir : str
        Converted dataset with folds; its testing images judge the ensembles.
    folds : str
        Folds to leave out and validate on, one training for each, separated by commas; by default all.
    num_best : int
        Number of members of the ensemble of the best networks of all bundles and folds.
    num_processes : int
        Number of processes to train with, by multi_gpu_train.json; by default one on each GPU, or one on the CPU.
    output_dir : str
        Folder for report.md, report.html, report.json, datastats.yaml, and for each bundle BUNDLE/fold_FOLD/ with
        model.pt, progress.yaml, validation/, testing/ and inference/.
    workers : int
        Processes on this machine that train at the same time; by default one training runs after the other.
    scheduler : str
        Address of a Dask scheduler whose workers train instead, such as tcp://10.0.0.1:8786.
    """
    roots = find_bundles((bundle, *more))
    processes = count_processes(num_processes)
    for root in roots.values():
        check_overrides(overrides, root, crossval)
        validation_override(root)
        if processes > 1:
            check_multi_gpu(root, overrides)
    data = read_separate_folds(dataset_dir, folds, roots.values())
    key_metrics = {name: key_metric(root) for name, root in roots.items()}
    metric = common_metric({name: ranking_metrics(r) for name, r in roots.items()}, next(iter(key_metrics.values())))
    plans = {
        name: Plan(
            bundle=root,
            dataset_dir=data.dataset.folder,
            output_dir=output_dir / name,
            folds=data.folds,
            splits=data.splits,
            overrides=overrides,
            num_processes=processes,
        )
        for name, root in roots.items()
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    datastats = summarise_datastats(write_datastats(data, output_dir / "datastats.yaml"))
    with open_cluster(workers, scheduler) as spread:
        run_plans([*plans.values()], spread)
        courses = {
            name: {fold: write_progress(plan.training(fold).folder, key_metrics[name]) for fold in plan.folds}
            for name, plan in plans.items()
        }
        done = _Done(plans, courses, data, output_dir)
        without = {name: reason for name, root in roots.items() if (reason := why_no_probabilities(root))}
        members = _members(done, without, spread)
    report = {
        "dataset": data.dataset.name,
        "folds": list(data.folds),
        "overrides": dict(sorted(overrides.items())),
        "metric": metric,
        "titles": {metric: title for root in roots.values() for metric, title in titles(root).items()},
        "splits": list(data.splits),
        "data": datastats,
        "bundles": {name: {"key_metric": key_metrics[name], **_bundle(done, name)} for name in plans},
        "without_probabilities": without,
    }
    return _report(report, done, members, num_best)


@dataclass(frozen=True)
class _Done:
    """Trainings and evaluations that have run: bundle -> plan, bundle -> fold -> content of progress.yaml."""

    plans: Mapping[str, Plan]
    courses: Mapping[str, Mapping[int, list[dict]]]
    data: Folds
    folder: Path

    def best_scores(self, bundle: str) -> dict[int, float]:
        return {fold: entries[-1]["best_avg_dice_score"] for fold, entries in self.courses[bundle].items()}


def _bundle(done: _Done, name: str) -> dict[str, object]:
    """Everything that was measured of one bundle."""
    plan = done.plans[name]
    found = read_trainings(plan)
    for fold, best in done.best_scores(name).items():
        found["folds"][str(fold)]["best_score"] = finite(best)
    splits = {split: read_split(plan, split) for split in plan.splits}
    return found | {
        "splits": {
            split: {
                "unit": of.unit,
                "unit_of": of.unit_of,
                "metrics": {metric: described(by_fold, of.unit_of) for metric, by_fold in of.scores.items()},
            }
            for split, of in splits.items()
        }
    }


def _members(done: _Done, without: Collection[str], spread: Spread) -> list[Member]:
    """Every network that gives probabilities, and what it says of ``testing``."""
    return [
        member
        for name, plan in done.plans.items()
        if name not in without and done.data.testing
        for member in run_inference(plan, done.data, done.best_scores(name), spread)
    ]


def _report(report: dict, done: _Done, members: Sequence[Member], num_best: int) -> str:
    """Ensembles, ranking and pictures of what was measured, written with it; the text of the report."""
    report["ensembles"] = _ensembles(report, choose_ensembles(members, num_best), done)
    report |= _contest(report)
    text = _write(report, done, _draw_worst(report, members, done))
    refused = [f"{name}: {found['refused']}" for name, found in report["ensembles"].items() if "refused" in found]
    if refused:
        raise InputError(f"the report is written, but an ensemble is refused. {' '.join(refused)}")
    return text


def _ensembles(report: Mapping, ensembles: Mapping[str, Sequence[Member]], done: _Done) -> dict[str, dict]:
    splits = [found["splits"].get("testing", {}) for found in report["bundles"].values()]
    unit_of = {case: unit for split in splits for case, unit in split.get("unit_of", {}).items()}
    return {
        name: evaluate_ensemble(chosen, done.data, done.folder / "ensembles", splits[0]["unit"], unit_of)
        for name, chosen in ensembles.items()
    }


def _contest(report: Mapping) -> dict[str, dict]:
    """Ranking and pairs on each split, and the worst cases of the last."""
    metric = report["metric"]
    contest: dict[str, dict] = {"ranking": {}, "pairs": {}}
    for split in report["splits"]:
        competitors = _competitors(report, split)
        unit_of = {case: unit for of in competitors.values() for case, unit in of.get("unit_of", {}).items()}
        scores = {name: of["metrics"][metric]["cases"] for name, of in competitors.items() if metric in of["metrics"]}
        contest["ranking"][split], contest["pairs"][split] = ranking(scores, unit_of), pairs(scores, unit_of)
    last = {name: found["splits"][report["splits"][-1]] for name, found in report["bundles"].items()}
    worst = {name: worst_cases(of["metrics"][metric]["cases"], NUM_WORST) for name, of in last.items()}
    contest["worst"] = {name: [{"case": c, "score": s} for c, s in cases] for name, cases in worst.items()}
    return contest


def _competitors(report: Mapping, split: str) -> dict[str, dict]:
    """What was measured of bundles and, on testing, of ensembles; of those with the same members only the first."""
    competitors = {name: found["splits"][split] for name, found in report["bundles"].items()}
    known: list[set[str]] = []
    for name, found in report["ensembles"].items() if split == "testing" else ():
        if "metrics" in found and set(found["members"]) not in known:
            known.append(set(found["members"]))
            competitors[f"ensemble, {name}"] = found
    return competitors


def _draw_worst(report: Mapping, members: Sequence[Member], done: _Done) -> dict[str, Path]:
    """Overlays of the worst testing cases, by the network of each bundle that validated best."""
    pictures: dict[str, Path] = {}
    for name, worst in report["worst"].items():
        for member in best_n([member for member in members if member.bundle == name], 1):
            drawn = draw_worst(member, [of["case"] for of in worst], done.data, done.folder / "pictures")
            pictures |= {f"worst {name} {case}": picture for case, picture in drawn.items()}
    return pictures


def _write(report: Mapping, done: _Done, overlays: Mapping[str, Path]) -> str:
    """Plots and the three reports; gives the text."""
    from tools.runs.crossval.pictures import draw_courses, draw_scores  # matplotlib is slow to import

    folder = done.folder
    pictures = {**overlays, "courses": folder / "pictures/courses.png"}
    metrics = {name: found["key_metric"] for name, found in report["bundles"].items()}
    lines = {
        f"{name}, fold {fold}": {entry["epoch"]: entry[metrics[name]] for entry in entries}
        for name, of in done.courses.items()
        for fold, entries in of.items()
    }
    named, metric = report["titles"], report["metric"]
    draw_courses(pictures["courses"], lines, ", ".join(dict.fromkeys(named.get(m, m) for m in metrics.values())))
    for split in report["splits"]:
        pictures[split] = folder / "pictures" / f"{split}.png"
        draw_scores(pictures[split], _dots(report, split), f"{named.get(metric, metric)}, {split}")
    blocks = report_blocks(report, pictures)
    text = as_markdown(blocks, folder) + "\n"
    write_json(folder / "report.json", report)
    write_text(folder / "report.html", as_html(blocks))
    write_text(folder / "report.md", text)
    logger.info("written: report.md, report.html and report.json in %s", folder)
    return text


def _dots(report: Mapping, split: str) -> dict[str, list[float]]:
    """Defined scores by case of every bundle and fold, and of every ensemble."""
    dots: dict[str, list[float]] = {}
    for name, found in _competitors(report, split).items():
        measured = found["metrics"].get(report["metric"], {"cases_by_fold": {}, "cases": {}})
        of = {name: measured["cases"]}
        if name in report["bundles"]:
            of = {f"{name}, fold {fold}": scores for fold, scores in measured["cases_by_fold"].items()}
        dots |= {who: [score for score in scores.values() if score is not None] for who, scores in of.items()}
    return dots
