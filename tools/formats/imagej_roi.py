"""Outlines as a set of ImageJ's ROIs, one for each object; of a volume one for each object and slice."""

import zipfile
from pathlib import Path

import numpy as np
import roifile

from common.files import replacing
from tools.formats.outlines import Part, find_parts
from tools.formats.saving import About

__all__ = ["write"]

MOVE, LINE, CLOSE = 0.0, 1.0, 4.0  # of paths, as Java has them


def write(path: Path, labels: np.ndarray, about: About) -> None:
    """Write outlines; names are the objects' numbers, slices are counted from 1 as ImageJ does."""
    is_volume = labels.ndim == 3
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for z, plane in enumerate(labels if is_volume else labels[None], start=1):
            for label, parts in find_parts(plane):
                name = f"{about.kind}-{label}" + (f"-z{z}" if is_volume else "")
                roi = _roi([ring for part in parts for ring in part], name)
                if is_volume:
                    roi.position = roi.z_position = z
                archive.writestr(f"{name}.roi", roi.tobytes())


def _roi(rings: Part, name: str) -> roifile.ImagejRoi:
    if len(rings) == 1:
        roi = roifile.ImagejRoi.frompoints(rings[0][:-1].astype(np.float32), name=name)
        roi.roitype = roifile.ROI_TYPE.TRACED
        return roi
    path: list[float] = []
    for ring in rings:
        (x, y), *others = ring[:-1].tolist()
        path += [MOVE, x, y, *(value for point in others for value in (LINE, *point)), CLOSE]
    points = np.concatenate(rings)
    roi = roifile.ImagejRoi(name=name)
    roi.roitype = roifile.ROI_TYPE.RECT
    (roi.left, roi.top), (roi.right, roi.bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi
