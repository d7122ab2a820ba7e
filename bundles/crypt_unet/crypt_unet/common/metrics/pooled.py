"""The base of the bundles' metrics: a ratio of each image, and of all images together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from monai.config import TensorOrList
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric
from monai.utils import convert_to_numpy

__all__ = ["ItemMetricHandler", "PooledMetric"]


class PooledMetric(CumulativeIterationMetric):
    """A ratio of each image, such as the summed IoU of its objects over their number.

    Call it with results and truths: batches of tensors, or lists, in which a truth may also be a mapping. The buffer
    holds one ratio per image, (N, 1), for MONAI's ``MetricsSaver``.

    Parameters
    ----------
    ratio_of : callable
        Takes result and truth of one image as arrays, and returns what is above and what is below the line; for a
        subclass with a `_divide` of its own, whatever sums that needs.
    pooled : bool
        True: `aggregate` adds up, over all images, what is above and what is below, so that every object weighs the
        same. False: it is the mean of the images' ratios, NaN left out.
    of_nothing : float
        The ratio where nothing is below the line.
    """

    def __init__(
        self, ratio_of: Callable[[Any, Any], tuple[float, ...]], *, pooled: bool = True, of_nothing: float = torch.nan
    ) -> None:
        super().__init__()
        self.ratio_of, self.pooled, self.of_nothing = ratio_of, pooled, of_nothing

    def _compute_list(
        self, y_pred: TensorOrList, y: TensorOrList | Sequence[Any] | None = None, **kwargs: Any
    ) -> torch.Tensor:
        if y is None:
            raise ValueError("a score needs the truth: call the metric with y_pred and y")
        pairs = zip(y_pred, y, strict=True)
        ratios = [self.ratio_of(convert_to_numpy(result), convert_to_numpy(truth)) for result, truth in pairs]
        return torch.tensor(ratios, dtype=torch.float64, device=y_pred[0].device)

    _compute_tensor = _compute_list

    def aggregate(self) -> torch.Tensor:
        """The score of all images."""
        ratios = super().get_buffer()
        if ratios is None:
            raise ValueError("nothing to aggregate: call the metric on an image first")
        return self._divide(ratios.sum(dim=0)) if self.pooled else self._divide(ratios).nanmean()

    def get_buffer(self) -> torch.Tensor | None:
        """One ratio per image, shape (N, 1); None before the first one."""
        ratios = super().get_buffer()
        # MetricsSaver writes 32 bit numbers in full, 64 bit ones with four decimals
        return None if ratios is None else self._divide(ratios)[:, None].float()

    def _divide(self, ratios: torch.Tensor) -> torch.Tensor:
        above, below = ratios.unbind(dim=-1)
        return torch.where(below > 0, above / below, self.of_nothing)


class ItemMetricHandler(IgniteMetricHandler):
    """A metric on an evaluator whose items hold more truth than ``label``.

    MONAI's evaluators leave whatever is neither image nor label in ``engine.state.batch``, which an
    ``output_transform`` does not get to see; this handler looks into both.

    Parameters
    ----------
    metric_fn : CumulativeIterationMetric
        Called with a list of results, and a list of mappings.
    truth : sequence of str
        What the mappings hold of each item.
    """

    def __init__(self, metric_fn: CumulativeIterationMetric, truth: Sequence[str]) -> None:
        super().__init__(metric_fn=metric_fn)
        self.truth = tuple(truth)

    def iteration_completed(self, engine: Engine) -> None:
        """Hand the items of an iteration to the metric."""
        batch: Any = engine.state.batch  # lists of items, of MONAI's engines
        output: Any = engine.state.output
        items: list[Mapping[str, Any]] = [{**rest, **found} for rest, found in zip(batch, output, strict=True)]
        self.update(([item["pred"] for item in items], [{key: item[key] for key in self.truth} for item in items]))
