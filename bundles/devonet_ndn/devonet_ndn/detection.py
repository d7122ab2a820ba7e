"""How well points were found: precision, recall and F1 after one-to-one matching."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from .common.metrics.pooled import PooledMetric

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


class DetectionMetric(PooledMetric):
    """Quality of detections; takes a list of points per volume, reference (n, 3) and detected (m, 3 or more).

    The buffer holds one value per volume, (N, 1); `aggregate` pools over the nuclei of all volumes. A value without a
    denominator, such as the recall of a volume without nuclei, is NaN.

    Parameters
    ----------
    kind : {"marker_f1", "precision", "recall", "count_error"}
        What to measure; ``count_error`` is the absolute difference in number, averaged over volumes.
    radius : float
        Largest distance of a match, in the unit of the points.

    Raises
    ------
    ValueError
        If the kind is another one.
    """

    KINDS = ("marker_f1", "precision", "recall", "count_error")

    def __init__(self, kind: str, radius: float) -> None:
        super().__init__(self._ratio)
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind, self.radius = kind, radius

    def _ratio(self, detected: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
        detected, reference = (points[:, :3].astype(float) for points in (detected, reference))
        if self.kind == "count_error":
            return abs(len(detected) - len(reference)), 1
        num_pairs = len(match_points(reference, detected, self.radius))
        if self.kind == "precision":
            return num_pairs, len(detected)
        if self.kind == "recall":
            return num_pairs, len(reference)
        return 2 * num_pairs, len(detected) + len(reference)
