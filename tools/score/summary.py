"""Scores of many frames as one: a sequence, or a whole dataset."""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from common.labels.det import Detections
from common.labels.mistakes import Mistakes
from common.labels.sweep import THRESHOLDS, F1Sweep
from tools.score.frame import FrameScore

__all__ = ["as_json", "as_text", "summarise", "summarise_sequences"]

MAIN = ("seg", "det", "op_csb", "frames", "objects")
MISTAKES = ("merged", "split", "missed", "extra")
F1 = tuple(f"f1_{round(100 * threshold)}" for threshold in THRESHOLDS)


def summarise(frames: Sequence[FrameScore], *, detail: bool = False) -> dict[str, float | int]:
    """Pool the scores of frames of one or more sequences [1]_.

    ``seg``: mean over all reference objects of all frames; ``det``: from the operations of all frames together;
    ``op_csb``: their mean; NaN where there is no object to score. ``frames``, ``objects``, ``markers`` count what was
    compared. With ``detail`` also ``merged``, ``split``, ``missed``; and, of the ``complete_frames`` (those in which
    every object is annotated), ``extra`` and ``f1_50`` ... ``f1_95``.

    References
    ----------
    .. [1] Ulman et al. (2017), doi:10.1038/nmeth.4473
    """
    ious = np.concatenate([np.empty(0), *(matches.ious for frame in frames for matches in frame.matches.values())])
    detections = sum((frame.detections for frame in frames), Detections())
    seg = float(ious.mean()) if ious.size else float("nan")
    score = {
        "seg": seg,
        "det": detections.det,
        "op_csb": (seg + detections.det) / 2,
        "frames": len(frames),
        "objects": ious.size,
        "markers": detections.num_markers,
    }
    if detail:
        mistakes = sum((frame.mistakes for frame in frames), Mistakes())
        score |= {name: getattr(mistakes, name) for name in MISTAKES}
        score["complete_frames"] = sum(frame.complete for frame in frames)
        score |= dict(zip(F1, sum((frame.f1 for frame in frames), F1Sweep()).f1, strict=True))
    return score


def summarise_sequences(
    frames: Mapping[str, Sequence[FrameScore]], *, detail: bool = False
) -> tuple[dict[str, dict[str, float | int]], dict[str, float | int]]:
    """Scores of each sequence, and of the frames of all of them pooled; see `summarise`."""
    scores = {sequence: summarise(members, detail=detail) for sequence, members in frames.items()}
    return scores, summarise([frame for members in frames.values() for frame in members], detail=detail)


def as_json(scores: Mapping[str, Mapping[str, float | int]], total: Mapping[str, float | int]) -> str:
    """What `summarise_sequences` returns as JSON, with null for NaN, which JSON does not know."""
    return json.dumps(_without_nan({"sequences": scores, "total": total}), indent=2)


def as_text(scores: Mapping[str, Mapping[str, float | int]], total: Mapping[str, float | int]) -> str:
    """Aligned tables of what `summarise_sequences` returns, with the total where there are several sequences.

    With detail there is a second table, of F1.
    """
    scores = scores if len(scores) == 1 else {**scores, "total": total}
    detail = any(F1[0] in score for score in scores.values())
    headings = [key.upper() if key in MAIN[:3] else key for key in (*MAIN, *(MISTAKES if detail else ()))]
    main = _table(["", *headings], {name: [score[key.lower()] for key in headings] for name, score in scores.items()})
    if not detail:
        return main
    f1_headings = ["F1 at IoU above", *(f"{threshold:.2f}" for threshold in THRESHOLDS)]
    return f"{main}\n\n{_table(f1_headings, {name: [score[key] for key in F1] for name, score in scores.items()})}"


def _without_nan(value: object) -> object:
    """The same with None for NaN."""
    if isinstance(value, Mapping):
        return {key: _without_nan(member) for key, member in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _table(headings: Sequence[str], rows: Mapping[str, Sequence[float | int]]) -> str:
    lines = [list(headings), *([name, *map(_cell, values)] for name, values in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]).rstrip() for cells in lines
    )


def _cell(value: float | int) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
