"""Ensembles as Auto3DSeg's: which members, the mean of their probabilities, and its score before objects are made.

What is there of them, and of pictures of a member's worst cases, is kept.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.json_file import read_json
from tools.overlay import overlay, read_image
from tools.runs.bundles import threshold
from tools.runs.executor import forget, run_chains
from tools.runs.files import find_result, is_newer, write_json
from tools.runs.folds import Folds
from tools.runs.plan import Plan
from tools.runs.results import case_name, described
from tools.spreading import Spread

__all__ = [
    *("Member", "average", "best_by_fold", "best_n", "choose_ensembles", "draw_worst", "enlarge", "evaluate_ensemble"),
    *("overlap_scores", "run_inference", "score_case"),
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A trained network that may take part.

    Attributes
    ----------
    bundle : str
    fold : int
        The fold left out of its training.
    score : float
        Its best validation on that fold.
    folder : Path
        With results of each image, ``<image stem>_<kind>.<ext>``, of which the kind ``prob`` is averaged.
    threshold : float
        At which its bundle makes a mask.
    """

    bundle: str
    fold: int
    score: float
    folder: Path
    threshold: float

    @property
    def name(self) -> str:
        return f"{self.bundle}, fold {self.fold}"

    def result(self, image: str | Path, kind: str = "prob") -> Path:
        """File of an image's result; InputError if there is none."""
        return find_result(self.folder, image, kind)


def best_n(members: Sequence[Member], num_best: int) -> tuple[Member, ...]:
    """The members with the highest scores, the best first; all of them if they are fewer."""
    return tuple(sorted(members, key=lambda member: (-member.score, member.bundle, member.fold))[:num_best])


def best_by_fold(members: Sequence[Member]) -> tuple[Member, ...]:
    """For each fold, ascending, the member with the highest score."""
    folds = sorted({member.fold for member in members})
    return tuple(best_n([member for member in members if member.fold == fold], 1)[0] for fold in folds)


def average(paths: Iterable[Path]) -> np.ndarray:
    """Mean of probabilities, of which only one at a time is in memory.

    Parameters
    ----------
    paths : iterable of Path
        Images; whole numbers are taken for shares of the largest that their type holds.

    Returns
    -------
    ndarray of float32

    Raises
    ------
    InputError
        If they differ in shape, or no path is given.
    """
    mean, count, first = None, 0, None
    for path in paths:
        probability = _read_probability(path)
        count += 1
        if mean is None:
            mean, first = probability, path
            continue
        if probability.shape != mean.shape:
            raise InputError(
                f"{path}: shape {probability.shape}, but {first} has {mean.shape}; members of an ensemble need one "
                "grid, so compare bundles of one task, at one resolution"
            )
        mean += (probability - mean) / count
    if mean is None:
        raise InputError("an ensemble without members; give a bundle that writes probabilities")
    return mean


def enlarge(probability: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A probability on the grid of its truth.

    Parameters
    ----------
    probability : ndarray of float32, shape (y, x) or (Z, Y, X)
    shape : tuple of int
        The truth's; of a plane it may be larger by a whole factor, with a partial last row and column. It is
        interpolated bilinearly then; any other grid is an InputError.
    """
    if probability.shape == tuple(shape):
        return probability
    factor = round(max(shape) / max(probability.shape)) if probability.ndim == len(shape) == 2 else 0
    if factor < 2 or probability.shape != tuple(-(-size // factor) for size in shape):
        raise InputError(f"probability of shape {probability.shape}, truth of {tuple(shape)}; convert the data again")
    import torch  # slow to import, as MONAI is

    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(probability)[None, None], scale_factor=factor, mode="bilinear", align_corners=False
    )
    return enlarged[0, 0, : shape[0], : shape[1]].numpy()


def overlap_scores(mask: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """``iou`` and ``dice`` of two boolean masks as MONAI measures them; both are 1 where both are empty."""
    import torch
    from monai.metrics import compute_dice, compute_iou  # slow to import, and not needed where scores are kept

    result, reference = (torch.from_numpy(np.ascontiguousarray(array))[None, None].float() for array in (mask, truth))
    return {
        "iou": float(compute_iou(result, reference, ignore_empty=False)),
        "dice": float(compute_dice(result, reference, ignore_empty=False)),
    }


def score_case(members: Sequence[Member], image: Path, label: Path) -> dict[str, float]:
    """Scores of an ensemble on one image, as from `overlap_scores`.

    The mean of the members' thresholds applies to the mean of their probabilities; all objects of the label, an
    instance map, are the truth. InputError if members differ in shape, or from the truth.
    """
    probability = average(member.result(image) for member in members)
    truth = read_image(label) > 0
    try:
        probability = enlarge(probability, truth.shape)
    except InputError as error:
        raise InputError(f"{image}: {error}") from error
    return overlap_scores(probability >= np.mean([member.threshold for member in members]), truth)


def _read_probability(path: Path) -> np.ndarray:
    array = read_image(path)
    scale = np.iinfo(array.dtype).max if np.issubdtype(array.dtype, np.integer) else 1
    return array.astype(np.float32) / np.float32(scale)


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
