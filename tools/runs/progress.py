"""How a training went: its epochs, and every validation logged to TensorBoard, as Auto3DSeg's progress.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from common.errors import InputError
from tools.runs.files import is_newer, write_text

__all__ = ["State", "progress_entries", "read_state", "read_validations", "write_progress"]


@dataclass(frozen=True)
class State:
    """Epochs that were trained, and what the training itself took for the best validation."""

    epochs: int
    best_epoch: int
    best_metric: float


def read_state(resume: Path) -> State:
    """The content of resume.pt, which a training writes after each epoch; InputError if it is something else."""
    from common.training.checkpoints import read_checkpoint  # slow to import

    try:
        state = read_checkpoint(resume)
        progress = {"best_metric": float("nan"), **state["progress"]}
        return State(int(state["epoch"]), int(progress["best_epoch"]), float(progress["best_metric"]))
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{resume}: not the state of a training ({error}); train again") from error


def write_progress(folder: Path, metric: str) -> list[dict[str, object]]:
    """Write progress.yaml beside the weights of a finished training, if it is older than the training; its content.

    The folder holds resume.pt and tensorboard/; for the content see `progress_entries`.
    """
    path, resume = folder / "progress.yaml", folder / "resume.pt"
    if not is_newer(path, [resume]):
        state = read_state(resume)
        validations = read_validations(folder / "tensorboard", metric)
        entries = progress_entries(validations, metric, state.best_metric, state.best_epoch)
        path.unlink(missing_ok=True)  # the date has to be new even where the text is not
        write_text(path, yaml.safe_dump(entries, sort_keys=False))
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def progress_entries(
    validations: Mapping[int, float], metric: str, best_metric: float, best_epoch: int
) -> list[dict[str, object]]:
    """One entry for each validation: ``epoch``, its score by the metric, and the best so far with its epoch.

    These have the names that Auto3DSeg gives them, whatever the metric is; it reads ``best_avg_dice_score`` of the last
    entry, the best score by the training's own measure. ``validations`` maps epochs to scores.
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
    """Epoch -> score in TensorBoard's files, if any; after an interruption the later score of an epoch counts."""
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
