"""Scores of whole slides as MONAI metrics: F1 of objects, Dice and IoU on patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric
from scipy import ndimage

from .common.labels.objects import f1_score, match_objects
from .patch_scores import patch_dice_iou

__all__ = ["ObjectF1Metric", "PatchMetric", "PatchMetricHandler"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


class ObjectF1Metric(CumulativeIterationMetric):
    """F1 of objects; `aggregate` pools the objects of all slides, the buffer holds one F1 per slide.

    ``y_pred`` are masks, (B, 1, Y, X) or a list of (1, Y, X), whose 8-connected components are the predicted objects;
    ``y`` are label images of the same shape, read with an integer ``dtype``. A slide without any object in either has
    F1 NaN and adds nothing to the pool.

    Parameters
    ----------
    min_iou : float
        An object is found if its IoU with one of the truth is above this; from 0.5 to below 1.
    """

    def __init__(self, min_iou: float = 0.5) -> None:
        super().__init__()
        self.min_iou = min_iou

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        _check_shapes(y_pred, y)
        counts = [self._count(*map(_to_array, pair)) for pair in zip(y_pred[:, 0], y[:, 0], strict=True)]
        scores = [[f1_score(*count)] for count in counts]
        # MetricsSaver writes 32 bit numbers in full, 64 bit ones with four decimals
        return [
            torch.tensor(scores, dtype=torch.float32, device=y_pred.device),
            torch.tensor(counts, dtype=torch.float64, device=y_pred.device),
        ]

    def _count(self, mask: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
        components, _ = ndimage.label(mask, EIGHT_NEIGHBOURS, output=np.int32)
        return match_objects(components, truth, self.min_iou)

    def aggregate(self) -> torch.Tensor:
        """F1 of the objects of all slides together; NaN if there is none."""
        _, counts = _filled(super().get_buffer())
        return torch.tensor(f1_score(*counts.sum(dim=0).tolist()))

    def get_buffer(self) -> torch.Tensor | None:
        """One F1 per slide, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]


class PatchMetric(CumulativeIterationMetric):
    """Dice or IoU of patches; `aggregate` is the mean over all patches, the buffer holds one mean per slide.

    Call it with a list of masks (1, Y, X) and, for each, a mapping with ``label`` (1, Y, X), where everything but 0 is
    foreground, ``patches`` (n, 2), y and x of the patches' top left pixels, and ``patch_size`` in pixels. A patch
    without foreground in either scores 1. A slide without patches has the score NaN.

    Parameters
    ----------
    kind : str
        ``dice`` or ``iou``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in ("dice", "iou"):
            raise ValueError(f"kind {kind!r}: expected 'dice' or 'iou'")
        self.kind = kind

    def _compute_list(self, y_pred: Sequence[torch.Tensor], y: Sequence[Mapping[str, Any]]) -> list[torch.Tensor]:
        scores = [self._score(mask, item) for mask, item in zip(y_pred, y, strict=True)]
        means = [[values.mean() if values.size else float("nan")] for values in scores]
        device = y_pred[0].device
        return [
            torch.tensor(means, dtype=torch.float32, device=device),  # written in full by MetricsSaver
            torch.tensor([[values.sum(), values.size] for values in scores], dtype=torch.float64, device=device),
        ]

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        raise ValueError("patches are known per slide: call the metric with a list of masks and a list of mappings")

    def _score(self, mask: torch.Tensor, item: Mapping[str, Any]) -> np.ndarray:
        _check_shapes(mask[None], item["label"][None])
        truth, corners = _to_array(item["label"][0]), _to_array(item["patches"])
        dice, iou = patch_dice_iou(_to_array(mask[0]), truth, corners, int(item["patch_size"]))
        return dice if self.kind == "dice" else iou

    def aggregate(self) -> torch.Tensor:
        """Mean over the patches of all slides; NaN if there is none."""
        _, sums = _filled(super().get_buffer())
        total, num_patches = sums.sum(dim=0)
        return total / num_patches

    def get_buffer(self) -> torch.Tensor | None:
        """Mean over the patches of each slide, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]


class PatchMetricHandler(IgniteMetricHandler):
    """`PatchMetric` on an evaluator whose items hold ``pred``, ``label``, ``patches`` and ``patch_size``.

    The evaluator leaves whatever is neither image nor label in ``engine.state.batch``, which an ``output_transform``
    does not get to see; this handler looks into both.

    Parameters
    ----------
    kind : str
        ``dice`` or ``iou``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(metric_fn=PatchMetric(kind))

    def iteration_completed(self, engine: Engine) -> None:
        items = [{**b, **o} for b, o in zip(engine.state.batch, engine.state.output, strict=True)]
        self.update(([item["pred"] for item in items], items))


def _check_shapes(y_pred: torch.Tensor, y: torch.Tensor | None) -> None:
    if y is None or y_pred.shape != y.shape or y_pred.ndim != 4 or y_pred.shape[1] != 1:
        shapes = f"y_pred {tuple(y_pred.shape)}, y {None if y is None else tuple(y.shape)}"
        raise ValueError(f"{shapes}: expected masks and label images of one shape (B, 1, Y, X)")


def _to_array(tensor: torch.Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().cpu())


def _filled(buffers: list[torch.Tensor] | None) -> list[torch.Tensor]:
    if buffers is None:
        raise ValueError("nothing to aggregate: call the metric on a slide first")
    return buffers
