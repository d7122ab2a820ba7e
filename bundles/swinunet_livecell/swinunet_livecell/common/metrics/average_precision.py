"""Average precision of label images as a MONAI metric."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import TensorOrList
from monai.metrics import CumulativeIterationMetric
from monai.utils import convert_to_numpy

from ..labels.average_precision import average_precision, match_by_score

__all__ = ["COCO_IOUS", "AveragePrecisionMetric"]

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).tolist())


class AveragePrecisionMetric(CumulativeIterationMetric):
    """COCO's average precision over the objects of all images; the buffer holds that of every image alone.

    Call it with label images (1, [Z,] Y, X) and, for each, a mapping with ``label``, the truth on the same grid, and
    ``scores``, how sure each object is, in the order of the result's labels. NaN where the truth has no object.

    Parameters
    ----------
    min_ious : sequence of float, optional
        IoUs from which an object is found; the mean over all of them is taken. COCO's 0.5, 0.55, ... 0.95 if left out.
    """

    def __init__(self, min_ious: Sequence[float] = COCO_IOUS) -> None:
        super().__init__()
        self.min_ious = tuple(min_ious)

    def _compute_list(self, y_pred: TensorOrList, y: Any = None, **kwargs: Any) -> Any:
        """Rows: of every image its number of objects after a 1, then of every result, after a 0, score and matches."""
        if y is None:
            raise ValueError("a score needs the truth: call the metric with y_pred and y")
        rows = []
        for result, item in zip(y_pred, y, strict=True):
            scores = convert_to_numpy(item["scores"]).reshape(-1)
            matched, num_truth = match_by_score(
                convert_to_numpy(result)[0], convert_to_numpy(item["label"])[0], scores, self.min_ious
            )
            rows.append(np.array([[1, num_truth, *np.zeros(len(self.min_ious))]]))
            rows.append(np.column_stack([np.zeros(len(scores)), scores, matched]))
        return torch.from_numpy(np.concatenate(rows))

    _compute_tensor = _compute_list

    def aggregate(self) -> torch.Tensor:
        """The score of all images together."""
        images = list(self._images())
        if not images:
            raise ValueError("nothing to aggregate: call the metric on an image first")
        num_truth = sum(number for _, _, number in images)
        matched, scores = (np.concatenate(parts) for parts in list(zip(*images, strict=True))[:2])
        return torch.tensor(average_precision(matched, scores, num_truth).mean())

    def get_buffer(self) -> torch.Tensor | None:
        """One score per image, shape (N, 1); None before the first one."""
        scores = [[average_precision(*image).mean()] for image in self._images()]
        return torch.tensor(scores, dtype=torch.float32) if scores else None

    def _images(self) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Matches and scores of the results of every image, and the number of its objects."""
        rows = super().get_buffer()
        if rows is None:
            return
        rows = rows.cpu().numpy()
        starts = np.flatnonzero(rows[:, 0])
        for start, stop in zip(starts, np.append(starts[1:], len(rows)), strict=True):
            part = rows[start + 1 : stop]
            yield part[:, 2:] > 0, part[:, 1], int(rows[start, 1])
