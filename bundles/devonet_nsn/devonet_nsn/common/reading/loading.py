"""Loading volumes: what cannot be read is reported, not swallowed, and what would give nonsense is refused."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, LoadImaged, MapTransform
from monai.utils import convert_to_numpy

from ..errors import InputError
from .grids import turn_onto
from .nifti import NIFTI_SUFFIXES, UNREADABLE, check_nifti, spacing_of, unreadable
from .units import LARGEST_UM, SMALLEST_UM

__all__ = ["CheckVolumed", "CheckedLoadImage", "CheckedLoadImaged"]

logger = logging.getLogger(__name__)

MAX_LABEL = (1 << 24) - 1  # the next one and its neighbour are one float of 32 bit, as which volumes are loaded


class CheckedLoadImage(LoadImage):
    """MONAI's `LoadImage`, which blames the file for what is wrong with it.

    Raises
    ------
    InputError
        If the file is not an image, is damaged, or holds colours.
    """

    def __call__(
        self, filename: Sequence[PathLike[str] | str] | PathLike[str] | str, reader: Any = None
    ) -> torch.Tensor:
        header = None
        if isinstance(filename, (str, PathLike)) and str(filename).lower().endswith(NIFTI_SUFFIXES):
            header = check_nifti(filename)
            spacing_of(filename, header)  # MONAI takes a step of 0 for 1
        try:
            loaded = super().__call__(filename, reader)
        except (*UNREADABLE, MemoryError) as error:
            raise unreadable(str(filename), error) from error
        image = loaded if self.image_only else loaded[0]  # MONAI Label asks for the metadata, too
        if header is not None and not np.allclose(image.affine, affine := header.get_best_affine()):
            # where pixdim says something else than the sform, MONAI goes by pixdim
            image.affine = image.meta["original_affine"] = torch.as_tensor(affine)
        return loaded


class CheckedLoadImaged(LoadImaged):
    """Dictionary form of `CheckedLoadImage`."""

    def __init__(
        self, keys: KeysCollection, ensure_channel_first: bool = False, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, ensure_channel_first=ensure_channel_first, allow_missing_keys=allow_missing_keys)
        self._loader = CheckedLoadImage(ensure_channel_first=ensure_channel_first)


class CheckVolumed(MapTransform):
    """Refuses volumes that would train or segment nonsense; the first key is the image, others are its label images.

    A label image that describes the image's place with axes in another order or direction is turned onto its grid.

    Raises
    ------
    InputError
        If a volume is not (1, X, Y, Z), holds NaN or infinity, or describes another place than the image; if the
        image's spacing cannot be in micrometres, or ``label`` holds anything but whole numbers from 0.
    """

    def __call__(self, data: Mapping[Hashable, MetaTensor]) -> dict[Hashable, MetaTensor]:
        data, image_key = dict(data), self.keys[0]
        for key in self.key_iterator(data):
            volume, name = data[key], data[key].meta.get("filename_or_obj", key)
            if volume.ndim != 4 or volume.shape[0] != 1:
                raise InputError(
                    f"{name}: shape {tuple(volume.shape)} (channels first), expected one gray volume (1, X, Y, Z); "
                    "give a single channel, or convert the data again"
                )
            if key == image_key:
                _check_spacing(volume, name)
                _tell_order(volume, name)
            if not torch.isfinite(volume.sum()) and not torch.isfinite(volume).all():
                raise InputError(f"{name}: holds NaN or infinite voxels; replace them before segmenting")
            if key == "label":
                _check_labels(volume, name)
            if key != image_key:
                data[key] = _onto_grid(volume, data[image_key], name, key)
            if key != image_key and not volume.any():
                logger.warning("%s: the %s is empty, it contains no nucleus", name, key)
        return data


def _check_spacing(volume: MetaTensor, name: str) -> None:
    """Refuse voxels that are no light microscope's: other units would give an empty mask, or exhaust the memory."""
    spacing = [float(step) for step in volume.pixdim]
    if not all(SMALLEST_UM <= step <= LARGEST_UM for step in spacing):
        raise InputError(
            f"{name}: voxel spacing {spacing} (X, Y, Z), expected micrometres between {SMALLEST_UM} and {LARGEST_UM}; "
            "write the spacing in micrometres into the header"
        )


def _tell_order(volume: MetaTensor, name: str) -> None:
    """Warn where the axes are stored in another order than X, Y, Z, since the third is taken for depth."""
    order = nib.io_orientation(convert_to_numpy(volume.affine))[:, 0]
    if _says_where(volume) and (order != [0, 1, 2]).any():
        axes = ", ".join("XYZ"[int(axis)] for axis in order)
        logger.warning(
            "%s: its axes are %s by its header, but are taken for X, Y, Z; store them in this order", name, axes
        )


def _check_labels(volume: MetaTensor, name: str) -> None:
    """Refuse what is no label image, such as a probability, or a truth that its header scales."""
    labels = volume.as_subclass(torch.Tensor)
    lowest, highest = float(labels.min()), float(labels.max())
    if lowest < 0 or highest > MAX_LABEL or not torch.equal(labels, labels.trunc()):
        raise InputError(
            f"{name}: labels from {lowest:g} to {highest:g}, expected whole numbers from 0 to {MAX_LABEL}, one for "
            "each object; number the objects anew and save them as integers, without a scale in the header"
        )


def _onto_grid(labels: MetaTensor, image: MetaTensor, name: str, key: Hashable) -> MetaTensor:
    """A label image (1, X, Y, Z) on the grid of its image; InputError where it describes another place."""
    affine, image_affine = (convert_to_numpy(volume.affine) for volume in (labels, image))
    turn = turn_onto(
        name, str(key), labels.shape[1:], affine, image.shape[1:], image_affine, says_where=_says_where(labels)
    )
    if turn is None:
        return labels
    order, flipped = turn
    logger.info("%s: turned onto the grid of its image, axes %s, reversed %s", name, order, flipped)
    meta = {item: value for item, value in labels.meta.items() if item != "affine"}
    turned = labels.permute(0, *(axis + 1 for axis in order)).flip([axis + 1 for axis in flipped])
    return MetaTensor(turned.as_subclass(torch.Tensor).contiguous(), affine=image.affine, meta=meta)


def _says_where(volume: MetaTensor) -> bool:
    """Whether the header of a NIfTI holds a place, or only the size of its voxels."""
    return any(int(volume.meta.get(code, 1)) for code in ("sform_code", "qform_code"))
