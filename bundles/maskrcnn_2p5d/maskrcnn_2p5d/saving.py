"""What a volume's instances leave on disk: the label volume and the table of its objects."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from .common.names import stem
from .common.saving import WritesResults
from .common.tables import write_table
from .common.volumes import SaveVolumed
from .inferers import SCORES
from .objects import COLUMNS, measure_objects

__all__ = ["SaveInstancesd", "TakeScoresd", "label_dtype"]


def label_dtype(num_objects: int) -> str:
    """Name of the smallest type that NIfTI readers know and that holds so many labels: ``uint16`` or ``int32``."""
    return "uint16" if num_objects <= np.iinfo(np.uint16).max else "int32"


class TakeScoresd(MapTransform):
    """Moves the scores that `VolumeInstanceInferer` leaves in the metadata of ``key`` to ``<key>_scores``.

    It belongs before ``Invertd``, which gives predictions the metadata of their image.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data[f"{key}_scores"] = data[key].meta.pop(SCORES)
        return data


class SaveInstancesd(WritesResults):
    """Writes ``<image stem>_instances.nii.gz`` and ``<image stem>_objects.csv``; see `measure_objects`.

    The volume has the grid and affine of the input, as uint16, or int32 where there are more than 65535 objects.

    Parameters
    ----------
    keys : collection of str
        Instances (1, X, Y, Z) on the grid of the input, whose metadata they carry; `TakeScoresd` has left
        ``<key>_scores``.
    output_dir : path
        Folder for the results; it is created.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(data):
            # inverting a resampling makes floating point of labels
            labels = convert_to_numpy(data[key])[0].T.astype(np.int32)
            spacing, scores = convert_to_numpy(data[key].pixdim)[::-1], convert_to_numpy(data[f"{key}_scores"])
            SaveVolumed(key, self.output_dir, "instances", label_dtype(int(labels.max(initial=0))))(data)
            path = self.output_dir / f"{stem(data[key].meta['filename_or_obj'])}_objects.csv"
            write_table(path, COLUMNS, measure_objects(labels, spacing, scores))
        return dict(data)
