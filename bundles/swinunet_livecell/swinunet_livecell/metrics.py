"""What an evaluation scores, and the table of scores per cell type that it leaves."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather

from .cell_types import per_type_table
from .common.files import prepare_output_dir
from .common.tables import write_table

__all__ = ["CellTypeTable", "to_masks"]

logger = logging.getLogger(__name__)

FILE_NAME = "per_cell_type.csv"
UNKNOWN = "unknown"


def to_masks(
    items: Sequence[Mapping[str, torch.Tensor]], threshold: float
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Masks (1, Y, X) of cells, predicted and true, uint8.

    Parameters
    ----------
    items : sequence of mapping
        With ``pred``, probabilities (C, Y, X), the first that of cells, and ``label``, targets with channels in the
        same order, or a label image (1, Y, X).
    threshold : float
        Cells are where the probability is at least this.
    """
    predicted = [(item["pred"][:1] >= threshold).byte() for item in items]
    return predicted, [(item["label"][:1] > 0).byte() for item in items]


class CellTypeTable:
    """Writes ``per_cell_type.csv`` after an evaluation whose items tell their ``cell_type``.

    MONAI's evaluators leave whatever is neither image nor label in ``engine.state.batch``, and its metric handlers
    leave the score of every image in ``engine.state.metric_details``; this handler joins the two. It goes among the
    evaluator's handlers, which are attached after its metrics.

    Parameters
    ----------
    output_dir : path
        Folder of the table; it is created.
    metrics : sequence of str
        Names of the metrics to tell, each with one score per image.
    key : str
        What items hold their cell type under; images without it are of the type ``unknown``.
    """

    def __init__(self, output_dir: str | os.PathLike, metrics: Sequence[str], key: str = "cell_type") -> None:
        self.output_dir, self.metrics, self.key = Path(output_dir), tuple(metrics), key
        self.cell_types: list[str] = []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)

    def start(self, engine: Engine) -> None:
        self.cell_types = []

    def collect(self, engine: Engine) -> None:
        items: Any = engine.state.batch  # dictionaries, of MONAI's engines
        self.cell_types += [item.get(self.key, UNKNOWN) for item in items]

    def write(self, engine: Engine) -> None:
        cell_types = self.cell_types
        if idist.get_world_size() > 1:  # the metrics' scores are gathered from all processes in the same order
            cell_types = string_list_all_gather(cell_types)
        if idist.get_rank() > 0:
            return
        details = engine.state.metric_details  # type: ignore[attr-defined]  # which MONAI's handlers add
        scores = {name: details[name].reshape(len(details[name]), -1).nanmean(dim=1).tolist() for name in self.metrics}
        rows = per_type_table(scores, cell_types)
        prepare_output_dir(self.output_dir)
        write_table(self.output_dir / FILE_NAME, list(rows[0]), (row.values() for row in rows), digits=None)
        for row in rows:
            means = ", ".join(f"{name} {row[f'{name}_mean']:.3f}" for name in self.metrics)
            logger.info("%s (%d images): %s", row["cell_type"], row["n"], means)
