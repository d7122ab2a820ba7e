"""Regions of interest of ImageJ as outlines."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from common.errors import one_line
from tools.convert.outline import Outline, Polygon

__all__ = ["read_rois"]

AREAS = ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED")
MAX_BYTES = 2**28  # of all ROIs of a set
SPLINE = 1  # among a ROI's options: its points are not on its outline
DAMAGED = (
    *(OSError, ValueError, LookupError, RuntimeError, TypeError, ArithmeticError, EOFError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)


def read_rois(path: Path) -> list[Outline]:
    """Areas of a ROI (.roi) or a set of ROIs (.zip); ValueError if it is damaged, or something in it is no area.

    What else lies in a zip, as Finder puts there, is left out. A ROI without a name is called as its file.
    """
    import roifile

    outlines = []
    for entry, content in _entries(path):
        try:
            roi = roifile.ImagejRoi.frombytes(content)
            name = roi.name or PurePosixPath(entry).stem
            rings = [np.asarray(ring, float) for ring in _rings(roi)]
        except DAMAGED as error:
            raise ValueError(f"{entry}: not readable as a ROI of ImageJ ({one_line(error)}); save it again") from error
        rings = [ring for ring in rings if len(ring) > 2]
        kind = _no_area(roi) or ("" if rings and all(np.isfinite(ring).all() for ring in rings) else "shape of no area")
        if kind:
            raise ValueError(f"{name}: a {kind}, expected an area drawn as a polygon; remove it, or draw it again")
        place = (roi.z_position, roi.t_position) if roi.z_position or roi.t_position else (roi.position, 0)
        outlines.append(Outline(name, [Polygon(rings)], place))
    if not outlines:
        raise ValueError("no ROI in it; save the set of ROIs of ImageJ's ROI manager")
    return outlines


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each ROI, read one by one since a zip may hold two of one name."""
    if path.suffix.lower() != ".zip":
        yield path.name, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            rois = [
                info
                for info in archive.infolist()
                if info.filename.lower().endswith(".roi") and not info.filename.startswith("__MACOSX/")
            ]
            if sum(info.file_size for info in rois) > MAX_BYTES:
                raise ValueError(f"its ROIs are larger than {MAX_BYTES // 2**20} MiB; save fewer in a set")
            for info in rois:
                yield info.filename, archive.read(info)
    except DAMAGED as error:
        raise ValueError(f"not readable as a set of ROIs of ImageJ ({one_line(error)}); save it again") from error


def _no_area(roi: Any) -> str:
    """What a ROI is that encloses no area, or one that its points do not tell; empty if it is an area."""
    if roi.roitype.name not in AREAS:
        return str(roi.roitype.name).lower()
    if getattr(roi.subtype, "name", "") in ("TEXT", "IMAGE"):
        return str(roi.subtype.name).lower()
    if roi.roitype.name == "RECT" and roi.rounded_rect_arc_size:
        return "rounded rectangle"
    return "spline" if int(roi.options) & SPLINE else ""


def _rings(roi: Any) -> list[np.ndarray]:
    if roi.roitype.name != "OVAL" or roi.subpixel_coordinates is not None or roi.integer_coordinates is not None:
        return roi.coordinates(multi=True)
    radii, centre = np.array([roi.right - roi.left, roi.bottom - roi.top]) / 2, np.array([roi.left, roi.top])
    angles = np.linspace(0, 2 * np.pi, max(64, 8 * int(radii.sum())), endpoint=False)
    return [centre + radii * (1 + np.stack([np.cos(angles), np.sin(angles)], axis=1))]
