"""Where the prompts of an image come from: a table, a mask of axons, the truth, or nobody."""

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import convert_to_numpy

from .common.errors import InputError
from .common.names import SUFFIXES, stem
from .common.reading.pictures import check_shape
from .prompt_tables import read_prompts
from .prompts import Prompts, number_axons, prompts_from_axons, prompts_from_labels
from .reading import read_mask

__all__ = ["SOURCES", "FindPromptsd", "as_prompts", "as_tensor", "check_prompts", "find_file"]

SOURCES = ("auto", "prompts", "axons", "truth")
NONE = "none"
# file names after the image's stem, without ending; AxonDeepSeg writes the second, BIDS datasets ship the third
AXON_NAMES = ("_axon", "_seg-axon", "_seg-axon-manual")
TABLE_NAME = "_prompts.tsv"
MAX_ID = 1 << 24  # whole numbers up to this are exact in float32
_POINT, _BOX = slice(1, 3), slice(3, 7)


def as_tensor(prompts: Prompts) -> torch.Tensor:
    """Prompts as one tensor, as batches and inferers hand them on.

    Returns
    -------
    Tensor of float32, shape (k, 7)
        id, x, y, x_min, y_min, x_max, y_max; NaN where unknown.

    Raises
    ------
    InputError
        If an id is above 16777216.
    """
    if prompts.ids.max(initial=0) > MAX_ID:
        raise InputError(f"a prompt with id {prompts.ids.max()}: expected at most {MAX_ID}; number the fibres anew")
    columns = [np.asarray(prompts.ids, np.float32)[:, None], prompts.points, prompts.boxes]
    return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))


def as_prompts(table: torch.Tensor) -> Prompts:
    """The inverse of `as_tensor`."""
    rows = convert_to_numpy(table).reshape(-1, 7)
    return Prompts(rows[:, 0].astype(np.int64), rows[:, _POINT], rows[:, _BOX])


def find_file(image: str | os.PathLike, names: Sequence[str], folder: str | os.PathLike = NONE) -> Path:
    """The file of an image in a folder or in those below it.

    Parameters
    ----------
    image : path
    names : sequence of str
        What may follow the stem of the image, ending included.
    folder : path or "none"
        ``none`` is the image's own folder, without those below it.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is no such folder, no such file, or more than one.
    """
    wanted = [f"{stem(image)}{name}" for name in names]
    if str(folder) == NONE:
        found = [path for path in (Path(image).with_name(name) for name in wanted) if path.is_file()]
        where = Path(image).parent
    else:
        where = Path(folder)
        if not where.is_dir():
            raise InputError(f"{where}: no such folder; give the one that holds {wanted[0]}")
        found = sorted(path for path in where.rglob("*") if path.name in wanted and path.is_file())
    if not found:
        raise InputError(f"{image}: no {' or '.join(wanted)} in {where}; put it there, or give another folder")
    if len(found) > 1:
        raise InputError(f"{image}: both {found[0]} and {found[1]} could belong to it; keep one in {where}")
    return found[0]


def check_prompts(
    items: Sequence[Mapping[str, Any]], source: str, prompts_dir: str = NONE, axon_dir: str = NONE
) -> None:
    """Refuse a run for which files of prompts are missing or broken, before it begins.

    Parameters
    ----------
    items : sequence of mapping
        Each with the path of an image under ``image``.
    source, prompts_dir, axon_dir
        As for `FindPromptsd`.

    Raises
    ------
    InputError
        It names all that is wrong.
    """
    find = FindPromptsd(source, prompts_dir, axon_dir)
    problems = []
    for item in items:
        try:
            find.check(item["image"])
        except InputError as error:
            problems.append(str(error))
    if len(problems) == len(items) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(
            f"{len(problems)} of {len(items)} images have no prompts, so none was segmented: {'; '.join(problems)}"
        )


class FindPromptsd(Transform):
    """Adds ``prompts`` to an item: float32 (k, 7), see `as_tensor`; to be used after `ReadMicrographd`.

    Parameters
    ----------
    source : str
        ``auto``: none, the inferer finds its own. ``prompts``: a table ``<stem>_prompts.tsv``. ``axons``: a mask of
        axons, ``<stem>_axon``, ``<stem>_seg-axon`` or ``<stem>_seg-axon-manual`` as PNG or TIFF, see
        `prompts_from_axons`; their label map (1, Y, X) is added as ``axons``, for `KeepAxonsd`. ``truth``: point and
        box of every fibre in ``label`` and ``axon`` of the item.
    prompts_dir, axon_dir : path or "none"
        Where tables and masks are searched, folders below included; ``none`` is beside the image.
    image_key : str

    Raises
    ------
    InputError
        If there is no such source, what it needs is missing, twice there or broken, or a prompt is outside the image.
    """

    def __init__(
        self, source: str = "auto", prompts_dir: str = NONE, axon_dir: str = NONE, image_key: str = "image"
    ) -> None:
        if source not in SOURCES:
            raise InputError(f"--prompt_source {source}: unknown; give {', '.join(SOURCES)}")
        self.source, self.prompts_dir, self.axon_dir, self.image_key = source, prompts_dir, axon_dir, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        if self.source == "axons":
            axons = self._read_axons(data[self.image_key].meta)
            tensor = MetaTensor(torch.from_numpy(axons[None].astype(np.int32)))
            return {**data, "prompts": as_tensor(prompts_from_axons(axons)), "axons": tensor}
        return {**data, "prompts": as_tensor(self._find(data))}

    def check(self, image: str | os.PathLike) -> None:
        """Raise `InputError` where `__call__` would for the lack of a file; of tables, the content is looked at too."""
        if self.source == "prompts":
            read_prompts(self._table(image))
        elif self.source == "axons":
            self._axons(image)

    def _find(self, data: Mapping[Hashable, Any]) -> Prompts:
        if self.source == "auto":
            return Prompts(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), np.zeros((0, 4), np.float32))
        meta = data[self.image_key].meta
        image, shape = meta["filename_or_obj"], tuple(int(side) for side in meta["original_shape"])
        if self.source == "prompts":
            return read_prompts(self._table(image), shape)
        missing = [key for key in ("label", "axon") if key not in data]
        if missing:
            raise InputError(f"{image}: no {' and no '.join(missing)}, which --prompt_source truth needs; add them")
        labels, axon = (convert_to_numpy(data[key])[0] for key in ("label", "axon"))
        return prompts_from_labels(labels, axon > 0)

    def _read_axons(self, meta: Mapping[str, Any]) -> np.ndarray:
        """Label map (Y, X) of the axons that are given for an image."""
        path = self._axons(meta["filename_or_obj"])
        axon = read_mask(path)
        check_shape(path, axon.shape, meta["filename_or_obj"], meta["original_shape"])
        return number_axons(axon)

    def _table(self, image: str | os.PathLike) -> Path:
        return find_file(image, [TABLE_NAME], self.prompts_dir)

    def _axons(self, image: str | os.PathLike) -> Path:
        return find_file(image, [name + suffix for name in AXON_NAMES for suffix in SUFFIXES["picture"]], self.axon_dir)
