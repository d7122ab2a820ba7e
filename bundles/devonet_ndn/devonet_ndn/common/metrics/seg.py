"""SEG as a MONAI metric."""

from __future__ import annotations

import torch
from monai.metrics import CumulativeIterationMetric

from ..labels.seg import count_overlaps, match

__all__ = ["SEGMetric", "compute_seg"]


def compute_seg(y_pred: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SEG of every volume of a batch.

    Parameters
    ----------
    y_pred, y : torch.Tensor of int, shape (N, 1, [Z,] Y, X)
        Label images of results and reference; 0 is background.

    Returns
    -------
    scores : torch.Tensor of float64, shape (N, 1)
        SEG; NaN where there is no reference object.
    num_objects : torch.Tensor of float64, shape (N, 1)
        Reference objects.

    Raises
    ------
    ValueError
        If the shapes differ, there are several channels, or the labels are not integers of at least 0.
    """
    if y_pred.shape != y.shape or y.ndim < 3 or y.shape[1] != 1:
        raise ValueError(
            f"y_pred {tuple(y_pred.shape)}, y {tuple(y.shape)}: expected label images of one shape (N, 1, [Z,] Y, X)"
        )
    results, references = (batch.detach().cpu().numpy()[:, 0] for batch in (y_pred, y))
    ious = [match(count_overlaps(*pair)).ious for pair in zip(references, results, strict=True)]
    rows = [[float(volume.mean()) if volume.size else float("nan"), float(volume.size)] for volume in ious]
    table = torch.tensor(rows, dtype=torch.float64, device=y_pred.device).reshape(-1, 2)
    return table[:, :1], table[:, 1:]


class SEGMetric(CumulativeIterationMetric):
    """SEG of the Cell Tracking Challenge; `aggregate` is the mean over all reference objects of all volumes.

    The buffer holds one SEG per volume, (N, 1), NaN where a volume has no reference object. Labels must be integers:
    read them with an integer ``dtype``, not as MONAI's default of float32.

    References
    ----------
    .. [1] Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    """

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        if y is None:
            raise ValueError("SEG needs a reference: call the metric with y_pred and y")
        return list(compute_seg(y_pred, y))

    def aggregate(self) -> torch.Tensor:
        """SEG pooled over objects; NaN if no volume has a reference object."""
        buffers = super().get_buffer()
        if buffers is None:
            raise ValueError("nothing to aggregate: call the metric on a batch first")
        scores, num_objects = buffers
        return (scores * num_objects).nansum() / num_objects.sum()

    def get_buffer(self) -> torch.Tensor | None:
        """One SEG per volume, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]
