"""The verb ``score``: results against truth, in the measures of the Cell Tracking Challenge."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from common.errors import InputError
from common.tables import write_table
from tools.command_line import as_verb, at_least
from tools.score.folders import find_results
from tools.score.frame import FrameScore, score_frame
from tools.score.summary import as_json, as_text, summarise_sequences

__all__ = ["score", "score_folders", "write_objects"]

MAX_WORKERS = 8  # unless more are asked for: each needs the memory of two frames
COLUMNS = ("sequence", "frame", "slice", "label", "result", "iou")


@as_verb(gt=Path, res=Path, csv=Path, workers=at_least(1))
def score(
    gt: Path,
    res: Path,
    *,
    json: bool = False,
    csv: Path | None = None,
    detail: bool = False,
    workers: int | None = None,
) -> str:
    """Score results against truth: SEG, DET and OP_CSB of the Cell Tracking Challenge.

    Parameters
    ----------
    gt, res : str
        Folders of one sequence, such as 01_GT (or 01_ST) and 01_RES, or of a dataset with several sequences.
    json : bool
        Print JSON instead of a table.
    csv : str
        File to write with one line per reference object: sequence, frame, slice, label, matched result (0: none), IoU.
    detail : bool
        Also F1 at IoU above 0.5 to 0.95 and the numbers of merged, split, missed and extra objects.
    workers : int
        Frames to compare at the same time; by default one per processor, at most 8.
    """
    if csv:
        _check_new_file(csv)
    frames = score_folders(gt, res, num_workers=workers or min(os.cpu_count() or 1, MAX_WORKERS))
    if csv:
        write_objects(csv, frames)
    scores, total = summarise_sequences(frames, detail=detail)
    return as_json(scores, total) if json else as_text(scores, total)


def score_folders(truth: Path, results: Path, *, num_workers: int = 1) -> dict[str, list[FrameScore]]:
    """Compare every frame that has truth with its result: frames by number, sequences by name.

    The folders are as `find_results` takes them; each of ``num_workers`` needs the memory of two frames.
    FileNotFoundError if a folder, or the result of a frame that has truth, does not exist; InputError if there is no
    truth or no result, a file is not a label image, or two files are not on one grid.
    """
    sequences = find_results(truth, results)
    files = [frame for members in sequences.values() for frame in members]
    with ThreadPoolExecutor(num_workers) as pool:  # processes took longer to start than frames to compare (measured)
        scores = iter(list(tqdm(pool.map(score_frame, files), desc="score", unit="frame", total=len(files))))
    return {sequence: [next(scores) for _ in members] for sequence, members in sequences.items()}


def write_objects(path: Path, frames: Mapping[str, Sequence[FrameScore]]) -> None:
    """Write one line per reference object of the frames of all sequences as CSV; InputError if that fails."""
    rows = (
        (sequence, frame.number, "" if z is None else z, *row)
        for sequence, members in frames.items()
        for frame in members
        for z, matches in frame.matches.items()
        for row in zip(matches.labels.tolist(), matches.results.tolist(), matches.ious.tolist(), strict=True)
    )
    try:
        write_table(path, COLUMNS, rows, digits=None)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another file") from error


def _check_new_file(path: Path) -> None:
    """Refuse a file that is there already, or whose folder is not, before anything is computed."""
    if path.exists():
        raise InputError(f"{path}: already exists; remove it or choose another file")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder to write {path.name} to; make it first")
