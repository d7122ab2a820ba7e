"""How a training went: every validation, from what TensorBoard was told, as Auto3DSeg's progress.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import yaml

from tools.errors import InputError
from tools.runs.choices import read_json
from tools.runs.executor import write_text

__all__ = ["key_metric", "progress_entries", "read_validations", "write_progress"]


def key_metric(bundle: Path) -> str:
    """Name of the metric by which a bundle's training chooses the epoch.

    Raises
    ------
    InputError
        If its train.json has none.
    """
    path = bundle / "configs/train.json"
    found = read_json(path).get("validate", {}).get("key_metric")
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: validate#key_metric is {found!r}, expected one metric by name")
    return next(iter(found))


def write_progress(folder: Path, metric: str) -> list[dict[str, object]]:
    """Write progress.yaml beside the weights of a finished training, if it is older than the training.

    Parameters
    ----------
    folder : Path
        With resume.pt and tensorboard/.
    metric : str
        The key metric.

    Returns
    -------
    list of dict
        Its content, see `progress_entries`.

    Raises
    ------
    InputError
        If resume.pt is not the state of a training.
    """
    path, resume = folder / "progress.yaml", folder / "resume.pt"
    if not (path.is_file() and resume.is_file() and path.stat().st_mtime_ns >= resume.stat().st_mtime_ns):
        best_metric, best_epoch = _read_best(resume)
        entries = progress_entries(read_validations(folder / "tensorboard", metric), metric, best_metric, best_epoch)
        path.unlink(missing_ok=True)  # the date has to be new even where the text is not
        write_text(path, yaml.safe_dump(entries, sort_keys=False))
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def progress_entries(
    validations: Mapping[int, float], metric: str, best_metric: float, best_epoch: int
) -> list[dict[str, object]]:
    """Entries of progress.yaml, of which Auto3DSeg reads ``best_avg_dice_score`` of the last.

    Parameters
    ----------
    validations : mapping of int to float
        Epoch -> score.
    metric : str
        What the score is.
    best_metric, best_epoch : float, int
        What the training itself took for the best.

    Returns
    -------
    list of dict
        One for each validation, with ``epoch``, its score, and under the names that Auto3DSeg gives them, whatever
        the metric is, the best so far and its epoch; the last tells the best of all.
    """
    entries: list[dict[str, object]] = []
    best = (float("-inf"), 0)
    for epoch, score in sorted(validations.items()):
        best = max(best, (score, -epoch))  # of equal ones the first, as the training keeps it
        entries.append({"epoch": epoch, metric: score, **_best(best[0], -best[1])})
    if entries:
        entries[-1] |= _best(best_metric, best_epoch)
    return entries or [{"epoch": best_epoch, metric: best_metric, **_best(best_metric, best_epoch)}]


def read_validations(folder: Path, metric: str) -> dict[int, float]:
    """Score of every validation in TensorBoard's files; after an interruption the later one of an epoch counts.

    Parameters
    ----------
    folder : Path
        Folder of the event files; it may be missing.
    metric : str

    Returns
    -------
    dict of int to float
        Epoch -> score.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # slow to import

    events = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        accumulator = EventAccumulator(str(file), size_guidance={"scalars": 0})
        accumulator.Reload()
        if metric in accumulator.Tags()["scalars"]:
            events += accumulator.Scalars(metric)
    return {event.step: event.value for event in sorted(events, key=lambda event: event.wall_time)}


def _best(score: float, epoch: int) -> dict[str, object]:
    return {"best_avg_dice_score": score, "best_avg_dice_score_epoch": epoch}


def _read_best(resume: Path) -> tuple[float, int]:
    try:
        progress = torch.load(resume, map_location="cpu", weights_only=True)["progress"]
        return float(progress["best_metric"]), int(progress["best_epoch"])
    except Exception as error:  # torch raises many kinds for a file that is not a checkpoint
        raise InputError(f"{resume}: not the state of a training ({error!r}); train again") from error
