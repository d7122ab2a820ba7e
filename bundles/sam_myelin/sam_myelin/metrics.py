"""Scores of whole images as MONAI metrics: myelin, the myelin of each fibre, and fibres as objects."""

from __future__ import annotations

import numpy as np
import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric

from .common.labels.objects import match_objects
from .common.labels.seg import count_overlaps, match
from .fibres import MYELIN_VALUE

__all__ = ["MyelinMetric", "MyelinMetricHandler", "compute_fibre_dice"]

NUM_RESULTS, NUM_TRUTHS = 4, 2  # channels
AUTOMATIC, PROMPTED = (0, 1), (2, 3)  # channels of the results: labels of fibres, axons and myelin
OVERLAPS, BOX_OVERLAPS = ("dice", "iou"), ("box_dice", "box_iou")


def compute_fibre_dice(
    labels: np.ndarray, myelin: np.ndarray, true_labels: np.ndarray, true_myelin: np.ndarray
) -> np.ndarray:
    """Dice of the myelin of each fibre, with the myelin of the fibre that has the same id in the result.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres of the result, axon and sheath under one id.
    myelin : ndarray of bool, shape (Y, X)
        Of the result.
    true_labels, true_myelin
        The same of the truth.

    Returns
    -------
    ndarray of float, shape (k,)
        For each fibre of the truth that has myelin, in order of the ids; 0 where the result has none under this id.
    """
    overlaps = count_overlaps(np.where(true_myelin, true_labels, 0), np.where(myelin, labels, 0))
    found = np.isin(overlaps.reference_labels, overlaps.result_labels)
    sizes = overlaps.reference_sizes.astype(float)
    sizes[found] += overlaps.result_sizes[np.searchsorted(overlaps.result_labels, overlaps.reference_labels[found])]
    same = overlaps.reference_labels[overlaps.references] == overlaps.result_labels[overlaps.results]
    common = np.zeros(len(sizes))
    common[overlaps.references[same]] = overlaps.pixels[same]
    return 2 * common / sizes


class MyelinMetric(CumulativeIterationMetric):
    """A score of whole images, which may differ in size.

    Call it with lists of results (4, Y, X) and of truths (2, Y, X), of integers. Channels of a result: ids of fibres,
    and a map of axons and myelin, in which myelin is 127, both without prompts; then both again, each fibre from the
    box of its truth, under the same id. Channels of a truth: ids of fibres, and myelin, which is not 0.

    The buffer holds one score per image, (N, 1), for MONAI's ``MetricsSaver``.

    Parameters
    ----------
    kind : str
        ``dice``, ``iou``: of myelin found without prompts, 1 where there is none in either; `aggregate` is the mean
        over images. ``box_dice``, ``box_iou``: of myelin found from boxes. ``fibre_dice``: mean over an image's fibres
        of the Dice of each one's myelin, found from its box; NaN where no fibre has myelin; `aggregate` is the mean
        over all fibres. ``seg``: of fibres found without prompts, as the Cell Tracking Challenge has it; NaN where
        there is no fibre; `aggregate` is the mean over all fibres. ``f1``: of fibres found without prompts, where a
        pair needs an IoU above 0.5; NaN where there is no fibre in either; `aggregate` counts over all images.

    Raises
    ------
    ValueError
        If the kind is another one.

    References
    ----------
    .. [1] SEG: Maška et al. (2014), doi:10.1093/bioinformatics/btu080
    """

    KINDS = (*OVERLAPS, *BOX_OVERLAPS, "fibre_dice", "seg", "f1")

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in self.KINDS:
            raise ValueError(f"kind is {kind!r}, expected one of {', '.join(self.KINDS)}")
        self.kind = kind

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None) -> list[torch.Tensor]:
        if y is None or y_pred.ndim != 4 or (y_pred.shape[1], *y.shape[:2]) != (NUM_RESULTS, len(y_pred), NUM_TRUTHS):
            shapes = f"y_pred {tuple(y_pred.shape)}, y {None if y is None else tuple(y.shape)}"
            raise ValueError(f"{shapes}: expected results (N, {NUM_RESULTS}, Y, X) and truths (N, {NUM_TRUTHS}, Y, X)")
        results, truths = (np.asarray(images.detach().cpu()) for images in (y_pred, y))
        parts = [self._parts(*pair) for pair in zip(results, truths, strict=True)]
        table = torch.tensor(parts, dtype=torch.float64, device=y_pred.device)
        return [self._scores(table)[:, None].float(), table]  # of 32 bit numbers MetricsSaver writes all digits

    def aggregate(self) -> torch.Tensor:
        """The score over all images."""
        buffers = super().get_buffer()
        if buffers is None:
            raise ValueError("nothing to aggregate: call the metric on an image first")
        _, table = buffers
        if self.kind in (*OVERLAPS, *BOX_OVERLAPS):
            return self._scores(table).mean()
        return self._scores(table.sum(dim=0, keepdim=True))[0]

    def get_buffer(self) -> torch.Tensor | None:
        """One score per image, shape (N, 1); None before the first one."""
        buffers = super().get_buffer()
        return None if buffers is None else buffers[0]

    def _parts(self, result: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        """What is above and below the line of an image's score."""
        if self.kind == "f1":
            num_pairs, num_found, num_true = match_objects(result[AUTOMATIC[0]], truth[0])
            return 2 * num_pairs, num_found + num_true
        if self.kind == "seg":
            ious = match(count_overlaps(truth[0], result[AUTOMATIC[0]])).ious
            return ious.sum(), len(ious)
        labels, tissue = AUTOMATIC if self.kind in OVERLAPS else PROMPTED
        myelin, true_myelin = result[tissue] == MYELIN_VALUE, truth[1] != 0
        if self.kind == "fibre_dice":
            scores = compute_fibre_dice(result[labels], myelin, truth[0], true_myelin)
            return scores.sum(), len(scores)
        common, total = np.count_nonzero(myelin & true_myelin), np.count_nonzero(myelin) + np.count_nonzero(true_myelin)
        return (2 * common, total) if self.kind.endswith("dice") else (common, total - common)

    def _scores(self, table: torch.Tensor) -> torch.Tensor:
        """Score of each row of `_parts`."""
        above, below = table.unbind(dim=1)
        of_nothing = 1.0 if self.kind in (*OVERLAPS, *BOX_OVERLAPS) else torch.nan
        return torch.where(below > 0, above / below, of_nothing)


class MyelinMetricHandler(IgniteMetricHandler):
    """`MyelinMetric` on an evaluator whose items hold ``pred``, ``label`` and ``myelin``.

    MONAI's evaluators leave whatever is neither image nor label in ``engine.state.batch``, which an
    ``output_transform`` does not get to see; this handler looks into both.

    Parameters
    ----------
    kind : str
        As for `MyelinMetric`.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(metric_fn=MyelinMetric(kind))

    def iteration_completed(self, engine: Engine) -> None:
        items = [{**rest, **found} for rest, found in zip(engine.state.batch, engine.state.output, strict=True)]
        truths = [torch.cat([item[key].as_subclass(torch.Tensor) for key in ("label", "myelin")]) for item in items]
        self.update(([item["pred"].as_subclass(torch.Tensor) for item in items], truths))
