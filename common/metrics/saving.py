"""The files of an evaluation: MONAI's files of metrics, in which every image is listed once, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from ignite import distributed as idist
from ignite.engine import Engine
from monai.handlers import MetricsSaver
from monai.handlers.utils import write_metrics_reports
from monai.utils import string_list_all_gather

from ..tables import to_cell

__all__ = ["CaseMetricsSaver"]


class CaseMetricsSaver(MetricsSaver):
    """MONAI's `MetricsSaver`, which lists an image once however many processes have scored it.

    Where there are fewer images than processes each of them scores all; see `validation_sampler`. Every process needs
    this handler, since names are gathered from all; the first one writes.
    """

    def __call__(self, engine: Engine) -> None:
        names = string_list_all_gather(self._filenames)
        if idist.get_rank() != self.save_rank:
            return
        rows = sorted({name: row for row, name in reversed([*enumerate(names)])}.values())
        details = engine.state.metric_details  # type: ignore[attr-defined]  # which MONAI's handlers add
        write_metrics_reports(
            save_dir=self.save_dir,
            images=[str(to_cell(names[row])) for row in rows],
            metrics=_chosen(engine.state.metrics, self.metrics),
            metric_details={name: values[rows] for name, values in _chosen(details, self.metric_details).items()},
            summary_ops=self.summary_ops,
            deli=self.deli,
            output_type=self.output_type,
        )


def _chosen(values: Mapping[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    """Those of the names, in MONAI's spelling: ``*`` stands for all."""
    return {name: value for name, value in values.items() if name in (names or ()) or "*" in (names or ())}
