"""Ensembles of the trained networks on ``testing``, and pictures of the worst cases; what is there is kept."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.json_file import read_json
from tools.overlay import overlay
from tools.runs.bundles import threshold
from tools.runs.crossval.ensembles import Member, best_by_fold, best_n, score_case
from tools.runs.executor import forget, run_chains
from tools.runs.files import is_newer, write_json
from tools.runs.folds import Folds
from tools.runs.plan import Plan
from tools.runs.results import case_name, described
from tools.spreading import Spread

__all__ = ["choose_ensembles", "draw_worst", "evaluate_ensemble", "run_inference"]

logger = logging.getLogger(__name__)


def run_inference(plan: Plan, data: Folds, best_score: Mapping[int, float], spread: Spread) -> list[Member]:
    """Masks and probabilities of ``testing`` by the networks of all folds, given the best validation of each."""
    members, chains = [], []
    for fold in plan.folds:
        training = plan.training(fold)
        folder = training.folder / "inference"
        member = Member(plan.bundle.name, fold, best_score[fold], folder, threshold(plan.bundle, plan.overrides))
        step = training.infer(save_probability="True")
        try:
            for item in data.testing:
                member.result(item.name)
        except InputError:
            forget(step)
        members.append(member)
        chains.append((step,))
    run_chains(chains, spread)
    return members


def choose_ensembles(members: Sequence[Member], num_best: int) -> dict[str, tuple[Member, ...]]:
    """Name of an ensemble -> its members; none where there are fewer than two."""
    ensembles = {f"best {num_best}": best_n(members, num_best), "best by fold": best_by_fold(members)}
    return {name: chosen for name, chosen in ensembles.items() if len(chosen) > 1}


def evaluate_ensemble(
    members: Sequence[Member], data: Folds, folder: Path, unit: str, unit_of: Mapping[str, str]
) -> dict[str, object]:
    """Scores of an ensemble on ``testing``; by case they are kept in a folder, so that they are not computed again.

    ``members``, ``unit``, and ``metrics`` as of a bundle's split; or ``members`` and ``refused``, the reason why they
    cannot be averaged.
    """
    names = [member.name for member in members]
    members = sorted(members, key=lambda member: member.name)  # in another order they are the same ensemble
    settings = {"members": sorted(names), "thresholds": [member.threshold for member in members]}
    path = folder / f"{hashlib.sha256('|'.join(sorted(names)).encode()).hexdigest()[:12]}.json"
    try:
        scores = _kept(path, settings, members, data) or _score(members, data)
    except InputError as error:
        logger.warning("the ensemble of %s is refused: %s", "; ".join(names), error)
        return {"members": names, "refused": str(error)}
    write_json(path, settings | {"scores": scores})
    metrics = {metric: described({0: of}, unit_of) for metric, of in scores.items()}
    return {"members": names, "unit": unit, "metrics": metrics}


def draw_worst(member: Member, cases: Sequence[str], data: Folds, folder: Path) -> dict[str, Path]:
    """Overlays of a network's masks of testing images, ``<bundle>_<image stem>.png``, by case."""
    folder.mkdir(parents=True, exist_ok=True)
    items = _items(data)
    pictures = {}
    for case in (case for case in cases if case in items):
        image, label = items[case]
        mask = member.result(image, "mask")
        pictures[case] = folder / f"{member.bundle}_{mask.name.rpartition('_mask.')[0]}.png"
        if not is_newer(pictures[case], [mask]):
            overlay(image, mask, pictures[case], label=label)
    return pictures


def _items(data: Folds) -> dict[str, tuple[Path, Path]]:
    """Case -> image and label of the testing images."""
    folder = data.dataset.folder
    return {case_name(item.image, folder): (item.image, folder / item.entry["label"]) for item in data.testing}


def _score(members: Sequence[Member], data: Folds) -> dict[str, dict[str, float]]:
    """Metric -> case -> score."""
    scores: dict[str, dict[str, float]] = {}
    for case, (image, label) in _items(data).items():
        for metric, score in score_case(members, image, label).items():
            scores.setdefault(metric, {})[case] = score
    return scores


def _kept(
    path: Path, settings: Mapping[str, object], members: Sequence[Member], data: Folds
) -> dict[str, dict[str, float]] | None:
    """Scores of an earlier run, if nothing that they come from is newer."""
    sources = [member.result(item.name) for member in members for item in data.testing]
    if not is_newer(path, [data.dataset.path, *sources]):
        return None
    kept = read_json(path)
    return kept["scores"] if all(kept.get(key) == value for key, value in settings.items()) else None
