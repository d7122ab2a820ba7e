"""Ensembles of the trained networks on ``testing``, and pictures of the worst cases; what is there is kept."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.errors import InputError
from tools.overlay import overlay
from tools.runs.choices import read_json
from tools.runs.crossval.datalist import Datalist
from tools.runs.crossval.ensembles import Member, best_by_fold, best_n, result_file, score_case
from tools.runs.crossval.results import case_name, described
from tools.runs.crossval.steps import inference_steps, threshold
from tools.runs.executor import forget, run_steps, write_text
from tools.runs.plan import Plan

__all__ = ["choose_ensembles", "draw_worst", "evaluate_ensemble", "run_inference"]

logger = logging.getLogger(__name__)


def run_inference(plan: Plan, datalist: Datalist, best_score: Mapping[int, float]) -> list[Member]:
    """Masks and probabilities by the networks of all folds.

    Parameters
    ----------
    plan : Plan
    datalist : Datalist
    best_score : mapping of int to float
        Fold -> best validation.

    Returns
    -------
    list of Member

    Raises
    ------
    InputError
        If an inference fails.
    """
    steps = list(inference_steps(plan))
    members = [
        Member(plan.bundle.name, fold, best_score[fold], plan.folder("", fold) / "inference", threshold(plan))
        for fold in plan.folds
    ]
    for step, member in zip(steps, members, strict=True):
        try:
            for item in datalist.testing:
                member.probability(Path(str(item["image"])))
        except InputError:
            forget(plan, step)
    run_steps(plan, steps)
    return members


def choose_ensembles(members: Sequence[Member], num_best: int) -> dict[str, tuple[Member, ...]]:
    """Name of an ensemble -> its members; none where there are fewer than two."""
    ensembles = {f"best {num_best}": best_n(members, num_best), "best by fold": best_by_fold(members)}
    return {name: chosen for name, chosen in ensembles.items() if len(chosen) > 1}


def evaluate_ensemble(
    members: Sequence[Member], datalist: Datalist, folder: Path, unit: str, unit_of: Mapping[str, str]
) -> dict[str, object]:
    """Scores of an ensemble on ``testing``.

    Parameters
    ----------
    members : sequence of Member
    datalist : Datalist
    folder : Path
        Where scores by case are kept, so that they are not computed again.
    unit : str
    unit_of : mapping of str to str
        Case -> unit.

    Returns
    -------
    dict of str to object
        ``members``, ``unit``, and ``metrics`` as of a bundle's split; or ``members`` and ``refused``, the reason why
        they cannot be averaged.
    """
    names = [member.name for member in members]
    members = sorted(members, key=lambda member: member.name)  # in another order they are the same ensemble
    settings = {"members": sorted(names), "thresholds": [member.threshold for member in members]}
    path = folder / f"{hashlib.sha256('|'.join(settings['members']).encode()).hexdigest()[:12]}.json"
    try:
        scores = _kept(path, settings, members, datalist) or _score(members, datalist)
    except InputError as error:
        logger.warning("the ensemble of %s is refused: %s", "; ".join(names), error)
        return {"members": names, "refused": str(error)}
    write_text(path, json.dumps(settings | {"scores": scores}, indent=4) + "\n")
    metrics = {metric: described({0: of}, unit_of) for metric, of in scores.items()}
    return {"members": names, "unit": unit, "metrics": metrics}


def draw_worst(plan: Plan, member: Member, items: Sequence[Mapping[str, object]], folder: Path) -> dict[str, Path]:
    """Overlays of a network's masks.

    Parameters
    ----------
    plan : Plan
    member : Member
        The network, whose inference has run.
    items : sequence of mapping
        Of the datalist.
    folder : Path
        For the pictures, ``<bundle>_<image stem>.png``.

    Returns
    -------
    dict of str to Path
        Case -> picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for item in items:
        image, label = (plan.dataset_dir / str(item[key]) for key in ("image", "label"))
        mask = result_file(member.folder, image, "mask")
        picture = folder / f"{member.bundle}_{mask.name.rpartition('_mask.')[0]}.png"
        if not (picture.is_file() and picture.stat().st_mtime_ns >= mask.stat().st_mtime_ns):
            overlay(str(image), str(mask), str(picture), label=str(label))
        pictures[case_name(image, plan.dataset_dir)] = picture
    return pictures


def _score(members: Sequence[Member], datalist: Datalist) -> dict[str, dict[str, float]]:
    """Metric -> case -> score."""
    scores: dict[str, dict[str, float]] = {}
    for item in datalist.testing:
        image, label = (datalist.folder / str(item[key]) for key in ("image", "label"))
        for metric, score in score_case(members, image, label).items():
            scores.setdefault(metric, {})[case_name(image, datalist.folder)] = score
    return scores


def _kept(
    path: Path, settings: Mapping[str, object], members: Sequence[Member], datalist: Datalist
) -> dict[str, dict[str, float]] | None:
    """Scores of an earlier run, if nothing that they come from is newer."""
    if not path.is_file():
        return None
    kept = read_json(path)
    sources = [member.probability(Path(str(item["image"]))) for member in members for item in datalist.testing]
    newest = max(source.stat().st_mtime_ns for source in (datalist.path, *sources))
    same = all(kept.get(key) == value for key, value in settings.items())
    return kept["scores"] if same and path.stat().st_mtime_ns >= newest else None
