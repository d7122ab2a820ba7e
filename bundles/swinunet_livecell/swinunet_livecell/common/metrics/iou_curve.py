"""How the scores of objects fall with the IoU that a match takes: a table and a picture of an evaluation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from monai.utils import convert_to_numpy

from ..figures import save_figure
from ..labels.seg import count_overlaps
from ..labels.sweep import THRESHOLDS, F1Sweep, count_matches
from ..tables import write_table
from .report import RowReport

__all__ = ["IouCurve"]

NAME = "objects_by_iou"
COLUMNS = ("iou", "true_positives", "false_positives", "false_negatives", "f1", "ap")


class IouCurve(RowReport):
    """Writes scores of objects at IoUs of 0.5, 0.55, ... 0.95, as ``objects_by_iou.csv`` and ``.png``.

    ``f1`` counts the objects of all images together. ``ap`` is TP / (TP + FP + FN), the mean over images with an
    object; its mean up to an IoU of 0.9 is the ``ap`` of `ObjectMetric`.

    Parameters
    ----------
    save_dir : str or Path
        Folder of the evaluation; made if need be.
    output_transform : callable
        Makes lists of results and truths, label images (1, [Z,] Y, X), of the evaluator's output.
    """

    def __init__(self, save_dir: str | Path, output_transform: Callable[[Any], tuple[Any, Any]]) -> None:
        super().__init__(save_dir)
        self.output_transform = output_transform

    def rows_of(self, batch: Any, output: Any) -> Iterator[tuple[Any, ...]]:
        """Name of an image, objects of its truth and of the result, and how many are matched at each IoU."""
        for item, result, truth in zip(batch, *self.output_transform(output), strict=True):
            sweep = count_matches(count_overlaps(convert_to_numpy(truth)[0], convert_to_numpy(result)[0]))
            name = str(item["image"].meta["filename_or_obj"])
            yield name, sweep.num_reference, sweep.num_result, sweep.num_matched

    def write(self, rows: list[list[Any]]) -> None:
        """Write table and picture."""
        sweeps = [F1Sweep(true, found, tuple(matched)) for _, true, found, matched in rows]
        pooled = sum(sweeps, F1Sweep())
        ap = _mean_ap(sweeps)
        scores = [
            (iou, matched, pooled.num_result - matched, pooled.num_reference - matched, f1, mean)
            for iou, matched, f1, mean in zip(THRESHOLDS, pooled.num_matched, pooled.f1, ap, strict=True)
        ]
        write_table(self.save_dir / f"{NAME}.csv", COLUMNS, scores)
        title = f"{pooled.num_reference} objects in {len(sweeps)} images"
        curves = {"F1, all objects": pooled.f1, "AP, mean over images": ap}
        save_figure(_draw(curves, title), self.save_dir / f"{NAME}.png")


def _mean_ap(sweeps: Sequence[F1Sweep]) -> tuple[float, ...]:
    """TP / (TP + FP + FN) at each threshold, the mean over images with an object; NaN without any."""
    scores = [sweep.ap for sweep in sweeps if sweep.num_reference + sweep.num_result]
    return tuple(np.mean(scores, axis=0).tolist()) if scores else F1Sweep().ap


def _draw(curves: Mapping[str, Sequence[float]], title: str) -> Figure:
    figure = Figure(figsize=(4.5, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, scores in curves.items():
        axes.plot(THRESHOLDS, scores, marker="o", markersize=4, label=name)
    axes.set(xlabel="IoU above which an object is found", xlim=(0.48, 0.97), ylim=(0, 1), title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
