"""The files in which MONAI's MetricsSaver leaves an evaluation, and the dataset.json behind their images."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError

__all__ = ["METRICS", "Cases", "group_images", "read_metric", "read_overall"]

METRICS = ("iou", "dice", "seg", "det", "f1", "patch_dice", "patch_iou", "fibre_dice", "box_dice", "box_iou")
UNIT_KEYS = ("sequence", "subject", "slide")
EVALUATE_AGAIN = "evaluate again into an empty folder"


@dataclass(frozen=True)
class Cases:
    """The evaluated images: name of their dataset, kind of independent unit ("sequence"), unit of each image."""

    dataset: str
    unit: str
    unit_of: dict[str, str]


def read_overall(output_dir: Path, *, allow_undefined: bool = False) -> dict[str, float]:
    """Overall values in metrics.csv.

    Parameters
    ----------
    output_dir : Path
        Folder that an evaluation wrote to.
    allow_undefined : bool
        Return NaN for a metric that no case defines.

    Returns
    -------
    dict of str to float
        Metric -> value, for those of `METRICS` that are there.

    Raises
    ------
    InputError
        If there is no such file, none of the metrics in it, or one that is undefined and must not be.
    """
    path = output_dir / "metrics.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the bundle's evaluation with --output_dir {output_dir} first")
    rows = _read_rows(path, num_values=1)
    overall = {name: _number(values[0], path) for name, values in rows if name in METRICS}
    for name, value in overall.items():
        if not (math.isfinite(value) or allow_undefined and math.isnan(value)):
            raise InputError(f"{path}: {name} is {value}, no case defines it; leave it out of MetricsSaver's metrics")
    if not overall:
        found = ", ".join(name for name, _ in rows) or "nothing"
        raise InputError(f"{path}: found {found}, expected some of {', '.join(METRICS)}; name the metrics so")
    return overall


def read_metric(output_dir: Path, metric: str) -> dict[str, float]:
    """Score of each image in ``<metric>_raw.csv``, averaged over classes.

    Parameters
    ----------
    output_dir : Path
        Folder that an evaluation wrote to.
    metric : str
        One of `METRICS`.

    Returns
    -------
    dict of str to float
        Image file -> score; NaN where undefined.

    Raises
    ------
    InputError
        If the file is missing or malformed, names an image twice, or disagrees in the number of cases with
        ``<metric>_summary.csv``.
    """
    path = output_dir / f"{metric}_raw.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file, but metrics.csv has {metric}; add it to MetricsSaver's metric_details")
    header, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    if not header.endswith(",mean"):
        raise InputError(f"{path}: first line {header!r}, expected filename,...,mean; {EVALUATE_AGAIN}")
    rows = _read_rows(path, num_values=header.count(","))[1:]
    twice = [name for name, count in Counter(name for name, _ in rows).items() if count > 1]
    if twice:
        raise InputError(f"{path}: {twice[0]} occurs more than once; {EVALUATE_AGAIN}")
    scores = {name: _number(values[-1], path) for name, values in rows}
    num_defined = sum(not math.isnan(score) for score in scores.values())
    expected = _num_defined_in_summary(output_dir / f"{metric}_summary.csv")
    if expected not in (None, num_defined):
        raise InputError(f"{path}: {num_defined} defined cases, {expected} in {metric}_summary.csv; {EVALUATE_AGAIN}")
    return scores


def group_images(images: Sequence[str], section: str = "testing") -> Cases:
    """Find the dataset.json that the images belong to, and the unit of each.

    The unit is the item key that dataset.json names under ``unit``, else ``sequence``, ``subject`` or ``slide``, else
    each image is a unit of its own, a ``case``.

    Parameters
    ----------
    images : sequence of str
        Image files, listed in a dataset.json in their folder or above.
    section : str
        The list that they have to be in, ``testing`` or ``training``.

    Returns
    -------
    Cases

    Raises
    ------
    InputError
        If there is no dataset.json, there are several, or it does not list an image in that section.
    """
    paths = sorted({_find_datalist(Path(image).resolve().parent, image) for image in images})
    if len(paths) != 1:
        raise InputError(f"images of {len(paths)} datasets ({', '.join(map(str, paths))}); evaluate one at a time")
    root = paths[0].parent
    try:
        datalist = json.loads(paths[0].read_text(encoding="utf-8"))
        listed = {(root / item["image"]).resolve(): item for item in datalist.get(section, [])}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{paths[0]}: not a MONAI datalist ({error}); convert the data again") from error
    for image in images:
        if Path(image).resolve() not in listed:
            raise InputError(f"{paths[0]}: {image} is not under {section}, of which scores are expected")
    items = {image: listed[Path(image).resolve()] for image in images}
    unit = datalist.get("unit") or next((key for key in UNIT_KEYS if any(key in i for i in items.values())), "case")
    for item in items.values():
        if unit != "case" and unit not in item:
            raise InputError(f"{paths[0]}: {item['image']} has no {unit!r}, by which others are grouped; add it")
    unit_of = {image: str(item["image"] if unit == "case" else item[unit]) for image, item in items.items()}
    return Cases(dataset=datalist.get("name") or root.name, unit=unit, unit_of=unit_of)


def _find_datalist(folder: Path, image: str) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / "dataset.json").is_file():
            return candidate / "dataset.json"
    raise InputError(f"{image}: no dataset.json in its folder or above; evaluate on a converted dataset, left in place")


def _num_defined_in_summary(path: Path) -> int | None:
    """Number of defined cases in a summary file; None if there is no such file or it does not say."""
    if not path.is_file():
        return None
    header, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    columns, rows = header.split(",")[1:], dict(_read_rows(path, num_values=header.count(",")))
    return int(_number(rows["mean"][columns.index("notnans")], path)) if "notnans" in columns else None


def _read_rows(path: Path, *, num_values: int) -> list[tuple[str, list[str]]]:
    """Name and values of each line; the name may hold commas, since MONAI quotes nothing."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *values = line.rsplit(",", num_values)
        if len(values) != num_values:
            raise InputError(f"{path}: line {line!r}, expected a name and {num_values} values; {EVALUATE_AGAIN}")
        rows.append((name, values))
    return rows


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: {text!r}, expected a number; {EVALUATE_AGAIN}") from error
