"""Scores of instances beside SEG, as MONAI metrics: foreground, objects in slices, and their number."""

from __future__ import annotations

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric

from .common.labels.objects import match_objects
from .common.labels.seg import count_overlaps

__all__ = ["InstanceMetric"]


class InstanceMetric(CumulativeIterationMetric):
    """Scores of label volumes (N, 1, X, Y, Z), or lists of (1, X, Y, Z), of integers at least 0.

    The buffer holds one value per volume, (N, 1), for MONAI's ``MetricsSaver``.

    Parameters
    ----------
    kind : {"iou", "f1", "count_error"}
        ``iou``: of the foreground of volumes, 1 where both are empty; `aggregate` is the mean over volumes.
        ``f1``: of the masks in slices, where a pair needs an IoU above 0.5, counted over all slices of a volume;
        `aggregate` counts over all volumes. NaN where there is no object in either.
        ``count_error``: absolute difference of the numbers of objects; `aggregate` is the mean over volumes.
    slice_axis : int
        Axis of the slices; the last one in volumes as they are loaded.

    Raises
    ------
    ValueError
        If the kind is another one.
    """

    KINDS = ("iou", "f1", "count_error")

    def __init__(self, kind: str, slice_axis: int = -1) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind, self.slice_axis = kind, slice_axis

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        if y is None or y_pred.shape != y.shape or y.ndim != 5 or y.shape[1] != 1:
            shapes = f"y_pred {tuple(y_pred.shape)}, y {None if y is None else tuple(y.shape)}"
            raise ValueError(f"{shapes}: expected label images of one shape (N, 1, X, Y, Z)")
        results, references = (batch.detach().cpu().numpy()[:, 0] for batch in (y_pred, y))
        counts = [self._count(*pair) for pair in zip(references, results, strict=True)]
        table = torch.tensor(counts, dtype=torch.float64, device=y_pred.device)
        return [self._values(table)[:, None], table]

    def aggregate(self) -> torch.Tensor:
        """The value over all volumes."""
        buffers = super().get_buffer()
        if buffers is None:
            raise ValueError("nothing to aggregate: call the metric on a batch first")
        values, counts = buffers
        return self._values(counts.sum(dim=0, keepdim=True))[0] if self.kind == "f1" else values.mean()

    def get_buffer(self) -> torch.Tensor | None:
        """One value per volume, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]

    def _count(self, reference: np.ndarray, result: np.ndarray) -> tuple[int, int, int]:
        """What the two have in common, what is in the result, and what in the reference: voxels or objects."""
        if self.kind == "iou":
            foreground, predicted = reference > 0, result > 0
            return tuple(int(np.count_nonzero(mask)) for mask in (foreground & predicted, predicted, foreground))
        if self.kind == "count_error":
            overlaps = count_overlaps(reference, result)
            return 0, len(overlaps.result_labels), len(overlaps.reference_labels)
        slices = (np.ascontiguousarray(np.moveaxis(volume, self.slice_axis, 0)) for volume in (result, reference))
        return tuple(np.sum([match_objects(*pair) for pair in zip(*slices, strict=True)], axis=0).tolist())

    def _values(self, counts: torch.Tensor) -> torch.Tensor:
        """Value of each row of `_count`."""
        common, predicted, true = counts.unbind(dim=1)
        if self.kind == "count_error":
            return (predicted - true).abs()
        if self.kind == "f1":
            return 2 * common / (predicted + true)
        union = predicted + true - common
        return torch.where(union > 0, common / union, 1.0)
