"""How many bytes it takes to segment an image, computed from its header before a pixel is decoded."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.reading import nifti, pictures, tiff
from common.reading.formats import identify
from tools.convert.spacing import parse_spacing
from tools.formats.microscopes import has_images, maker_of, open_scenes
from tools.formats.scenes import Pick, Scene, picked
from tools.segment.description import Description

__all__ = ["bytes_needed"]

# per value at the resolution that a bundle works at, measured: the image and its way there, logits, probabilities
VOLUME_BYTES, PICTURE_BYTES = 48, 16


def bytes_needed(path: Path, bundle: Description, options: Mapping[str, str]) -> int:
    """Bytes for the image as it is decoded, and for the work at the resolution that the bundle works at.

    The header is opened with libraries that it may lead astray: only in a process that may crash, and within a time
    limit. Of the options, ``spacing`` goes before the file's own. InputError if that cannot be used; whatever the
    readers raise if the header is damaged.
    """
    pick, is_raw = Pick.of(options), maker_of(path) is not None
    kind = "" if is_raw else identify(path) or ""
    if is_raw or (kind == "tiff" and has_images(path, pick, num_axes=bundle.num_axes)):
        with open_scenes(path) as scenes:
            return max((_needed_by(scene, bundle, options) for scene in _meant(path, scenes, pick, bundle)), default=0)
    read = nifti if kind.startswith("nii") else tiff if kind == "tiff" else pictures
    num_values, num_bytes = read.decoded_size(path)
    own: tuple[float | None, ...] | None = None
    if bundle.num_axes == 3 and not options.get("spacing"):
        own = nifti.read_spacing(path) if kind.startswith("nii") else tiff.read_spacing(path)
    return num_bytes + _work(num_values, own, bundle, options)


def _meant(path: Path, scenes: Sequence[Scene], pick: Pick, bundle: Description) -> list[Scene]:
    """The scenes that a request may mean; none if it picks what is not there, which is reported when it is read."""
    try:
        found = picked(path, scenes, pick, in_colours=bundle.in_colours)
    except InputError:
        return []
    return [scenes[int(one.scene or 0)] for one in found]


def _needed_by(scene: Scene, bundle: Description, options: Mapping[str, str]) -> int:
    num_values = math.prod(scene.size(axis) for axis in "ZYXS")
    return num_values * scene.dtype.itemsize + _work(num_values, scene.spacing, bundle, options)


def _work(
    num_values: int, own: tuple[float | None, ...] | None, bundle: Description, options: Mapping[str, str]
) -> int:
    """Bytes beyond the image itself; a spacing that is given goes before its own."""
    if bundle.num_axes == 2:
        return PICTURE_BYTES * num_values
    spacing = parse_spacing(options["spacing"]) if options.get("spacing") else own
    growth = 1.0
    if spacing and bundle.spacing:
        growth = math.prod(theirs / ours for theirs, ours in zip(spacing, bundle.spacing, strict=True) if theirs)
    return math.ceil(VOLUME_BYTES * num_values * growth)
