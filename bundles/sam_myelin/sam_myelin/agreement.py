"""How well sizes of fibres agree with those of the truth: every pair in a table, and Bland and Altman's picture."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from monai.utils import convert_to_numpy

from .agreement_picture import draw_agreement
from .common.figures import save_figure
from .common.metrics.report import RowReport
from .common.names import stem
from .common.tables import write_table
from .fibres import AXON_VALUE
from .metrics import AUTOMATIC, AXON_DIAMETER, G_RATIO, NORMAL, matched_sizes

__all__ = ["Agreement", "AgreementReport", "limits_of_agreement"]

ALL = "all"
ID = 0
COLUMNS = (
    *("image", "modality", "fibre", "true_fibre", "g_ratio", "true_g_ratio"),
    *("axon_diameter", "true_axon_diameter", "unit"),
)
SHOWN = {"g_ratio": "g-ratio", "axon_diameter": "axon diameter in {}"}


class Agreement(NamedTuple):
    """Bland and Altman's numbers of pairs: mean difference, result less truth, and where 95 % of them are expected."""

    bias: float
    lower: float
    upper: float
    number: int


def limits_of_agreement(found: Sequence[float] | np.ndarray, truth: Sequence[float] | np.ndarray) -> Agreement:
    """Bias of a measurement, and 1.96 standard deviations of its differences around it.

    Parameters
    ----------
    found, truth : sequence of float
        The same quantity of the same objects, measured twice.

    Returns
    -------
    Agreement
        NaN where there is no pair, and, for the limits, fewer than two.

    References
    ----------
    .. [1] Bland and Altman (1986), doi:10.1016/S0140-6736(86)90837-8
    """
    differences = np.asarray(found, float) - np.asarray(truth, float)
    number = differences.size
    bias = float(differences.mean()) if number else math.nan
    reach = NORMAL * float(differences.std(ddof=1)) if number > 1 else math.nan
    return Agreement(bias, bias - reach, bias + reach, number)


class AgreementReport(RowReport):
    """Writes what an evaluation found of each fibre beside what the truth says.

    ``agreement.csv`` has a row per pair of fibres, see `matched_sizes`; diameters are in µm, or, in images whose pixels
    have no known size, in pixels. ``agreement_<modality>.png`` shows for each pair the mean of both values and
    their difference, and the limits of agreement; without a modality, all images are together.
    """

    def rows_of(self, batch: Any, output: Any) -> Iterator[tuple[Any, ...]]:
        """A row of `COLUMNS` for each pair of fibres; items hold ``pred``, ``label`` and ``myelin``."""
        for rest, found in zip(batch, output, strict=True):
            yield from _rows_of({**rest, **found})

    def write(self, rows: list[list[Any]]) -> None:
        """Write the table and the pictures."""
        write_table(self.save_dir / "agreement.csv", COLUMNS, rows)
        for modality in sorted({row[1] for row in rows}):
            own = [row for row in rows if row[1] == modality]
            unit = " and ".join(sorted({row[-1] for row in own}))
            panels = []
            for name, title in SHOWN.items():
                columns = (COLUMNS.index(column) for column in (name, f"true_{name}"))
                found, truth = (np.array([row[column] for row in own]) for column in columns)
                panels.append((title.format(unit), found, truth, limits_of_agreement(found, truth)))
            save_figure(draw_agreement(panels), self.save_dir / f"agreement_{modality}.png")


def _rows_of(item: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """A row of `COLUMNS` for each pair of fibres of an image."""
    labels, tissue = convert_to_numpy(item["pred"])[AUTOMATIC]
    true_labels, true_myelin = (convert_to_numpy(item[key])[0] for key in ("label", "myelin"))
    found, truth = matched_sizes(labels, tissue == AXON_VALUE, true_labels, (true_labels > 0) & (true_myelin == 0))
    meta = item["image"].meta
    size = float(meta.get("pixel_size_um", math.nan))
    scale, unit = (1.0, "px") if math.isnan(size) else (size, "um")
    about = stem(meta["filename_or_obj"]), str(item.get("modality", ALL))
    return [
        (*about, int(one[ID]), int(other[ID]), one[G_RATIO], other[G_RATIO])
        + (one[AXON_DIAMETER] * scale, other[AXON_DIAMETER] * scale, unit)
        for one, other in zip(found.tolist(), truth.tolist(), strict=True)
    ]
