"""Tables beside the volumes: one line per marker or nucleus, as CSV."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.utils import convert_to_numpy

from .common.names import stem
from .common.saving import WritesResults
from .common.tables import write_table
from .nuclei import COLUMNS, measure_nuclei

__all__ = ["SaveMarkerTabled", "SaveNucleusTabled"]


class SaveMarkerTabled(WritesResults):
    """Writes ``<image stem>_markers.csv``: id, place and score of every detection.

    Places are z, y, x in micrometres from the middle of the first voxel.

    Parameters
    ----------
    keys : collection of str
        Markers as `FindMarkersd` leaves them.
    output_dir : path
        Folder for the results.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | os.PathLike, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(data):
            rows = [(index, *row) for index, row in enumerate(data[f"{key}_detections"].tolist(), start=1)]
            path = self.output_dir / f"{stem(data[key].meta['filename_or_obj'])}_markers.csv"
            write_table(path, ("id", "z_um", "y_um", "x_um", "score"), rows)
        return dict(data)


class SaveNucleusTabled(WritesResults):
    """Writes ``<image stem>_nuclei.csv``, a line per instance; see `measure_nuclei`.

    Parameters
    ----------
    keys : collection of str
        Instances (1, X, Y, Z) as `SegmentInstancesd` leaves them.
    output_dir : path
        Folder for the results.
    intensity_key : str
        The image as it was taken, (1, X, Y, Z).
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        intensity_key: str = "intensity",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.intensity_key = Path(output_dir), intensity_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        intensity = convert_to_numpy(data[self.intensity_key])[0].T
        for key in self.key_iterator(data):
            labels, spacing = convert_to_numpy(data[key])[0].T, convert_to_numpy(data[key].pixdim)[::-1]
            rows = measure_nuclei(labels, intensity, spacing, data[f"{key}_without_marker"])
            write_table(self.output_dir / f"{stem(data[key].meta['filename_or_obj'])}_nuclei.csv", COLUMNS, rows)
        return dict(data)
