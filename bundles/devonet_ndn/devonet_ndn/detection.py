"""How well points were found: precision, recall and F1 after one-to-one matching."""

from __future__ import annotations

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

__all__ = ["DetectionMetric", "match_points"]


def match_points(reference: np.ndarray, detected: np.ndarray, radius: float) -> np.ndarray:
    """Pair as many detected points with reference points as possible, each at most once; then the nearest ones.

    Parameters
    ----------
    reference, detected : ndarray of float, shape (n, d) and (m, d)
        Coordinates in one unit of length.
    radius : float
        Largest distance of a pair, in that unit.

    Returns
    -------
    ndarray of int, shape (p, 2)
        Indices into reference and detected.
    """
    distances = cdist(reference, detected)
    too_far = distances > radius
    # one pair more is worth any saving of distance: together all pairs cost less than one that is too far
    cost = np.where(too_far, 2.0 * min(distances.shape) + 1, distances / radius)
    rows, columns = linear_sum_assignment(cost)
    matched = ~too_far[rows, columns]
    return np.column_stack([rows[matched], columns[matched]])


class DetectionMetric(CumulativeIterationMetric):
    """Quality of detections; takes a list of points per volume, reference (n, 3) and detected (m, 3 or more).

    The buffer holds one value per volume, (N, 1); `aggregate` pools over the nuclei of all volumes. A value without a
    denominator, such as the recall of a volume without nuclei, is NaN.

    Parameters
    ----------
    kind : {"f1", "precision", "recall", "count_error"}
        What to measure; ``count_error`` is the absolute difference in number, averaged over volumes.
    radius : float
        Largest distance of a match, in the unit of the points.

    Raises
    ------
    ValueError
        If the kind is another one.
    """

    KINDS = ("f1", "precision", "recall", "count_error")

    def __init__(self, kind: str, radius: float) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind, self.radius = kind, radius

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        if y is None:
            raise ValueError("detections need a reference: call the metric with y_pred and y")
        detected, reference = (points.detach().cpu().double().numpy()[0, :, :3] for points in (y_pred, y))
        counts = [len(match_points(reference, detected, self.radius)), len(detected), len(reference)]
        table = torch.tensor([counts], dtype=torch.float64, device=y_pred.device)
        return [self._value(table)[:, None], table]

    def aggregate(self) -> torch.Tensor:
        """The value over all volumes."""
        buffers = super().get_buffer()
        if buffers is None:
            raise ValueError("nothing to aggregate: call the metric on a batch first")
        values, counts = buffers
        return values.mean() if self.kind == "count_error" else self._value(counts.sum(dim=0, keepdim=True))[0]

    def get_buffer(self) -> torch.Tensor | None:
        """One value per volume, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]

    def _value(self, counts: torch.Tensor) -> torch.Tensor:
        """Value of each row of (matched, detected, reference)."""
        matched, detected, reference = counts.unbind(dim=1)
        if self.kind == "precision":
            return matched / detected
        if self.kind == "recall":
            return matched / reference
        if self.kind == "f1":
            return 2 * matched / (detected + reference)
        return (detected - reference).abs()
