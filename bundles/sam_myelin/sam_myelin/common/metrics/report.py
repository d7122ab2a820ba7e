"""What an evaluation writes besides its scores: the base of its tables and pictures."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather

from ..files import prepare_output_dir

__all__ = ["RowReport"]


class RowReport(ABC):
    """Collects rows of every image of an evaluation; the first process writes those of all processes.

    Where there are fewer images than processes each of them scores all, so that equal rows count once: a row names its
    image.

    Parameters
    ----------
    save_dir : str or Path
        Folder of the evaluation; made if need be.
    """

    def __init__(self, save_dir: str | Path) -> None:
        self.save_dir = Path(save_dir)
        self._rows: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator of MONAI."""
        engine.add_event_handler(Events.STARTED, self._rows.clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    @abstractmethod
    def rows_of(self, batch: Any, output: Any) -> Iterable[Sequence[Any]]:
        """Rows of JSON's values, of an iteration's items and of what the evaluator made of them."""

    @abstractmethod
    def write(self, rows: list[list[Any]]) -> None:
        """Write sorted rows into the folder, which exists."""

    def _collect(self, engine: Engine) -> None:
        self._rows += [json.dumps(row) for row in self.rows_of(engine.state.batch, engine.state.output)]

    def _write(self, engine: Engine) -> None:
        rows = [json.loads(row) for row in {*string_list_all_gather(self._rows)}]
        if idist.get_rank() == 0:
            prepare_output_dir(self.save_dir)
            self.write(sorted(rows))
