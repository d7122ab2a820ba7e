"""Robust intensity scaling of phase contrast images."""

import logging
from collections.abc import Hashable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy

__all__ = ["ScalePhaseContrastd", "WarnOfContrastd", "scale_phase_contrast", "unlike_phase_contrast"]

logger = logging.getLogger(__name__)

# percentiles beyond which a pixel is dirt, a dead cell's glare, or a dead pixel
_TAILS = (0.5, 99.5)
# part of the range of grays that lies below the background: in 82 images of phase contrast it is from 0.32 to 0.48
_LEAST_DARK, _MOST_DARK = 0.1, 0.9


def scale_phase_contrast(image: np.ndarray, *, sample: np.ndarray | None = None) -> np.ndarray:
    """Map the background's gray to 0 and the deviation of all but the most extreme pixels to 1.

    In phase contrast, cells are brighter and darker than the background, which is the most frequent gray: the median.
    The deviation is that of the image clipped at its 0.5 and 99.5 percentiles, so that a bright speck of dirt does not
    darken all cells. The median absolute deviation would be more robust than is good: where cells fill less than half
    of the image it measures the camera's noise, a step or two of 8 bit wide, and scales sparse images up. Nothing is
    clipped in the result; gain and offset of the camera, and its number of bits, do not change it.

    Parameters
    ----------
    image : ndarray of any number type, any shape
        Gray values of one image.
    sample : ndarray, optional
        Gray values that are measured in the place of the image's: of all of what this image is a part of.

    Returns
    -------
    ndarray of float32, same shape
        All zero if the image is constant.
    """
    values = image.astype(np.float64)
    measured = values if sample is None else sample.astype(np.float64)
    median = np.median(measured)
    values -= median
    if sample is not None:
        measured -= median
    deviation = measured.clip(*np.percentile(measured, _TAILS)).std() or measured.std()
    return (values / deviation if deviation > 0 else np.zeros_like(values)).astype(np.float32)


class ScalePhaseContrastd(MapTransform):
    """Dictionary form of `scale_phase_contrast`; the sample is a file that NumPy reads, or ``none``."""

    def __init__(
        self, keys: KeysCollection, sample: str | PathLike[str] = "none", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.sample = None if sample == "none" else np.load(sample)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        for key in self.key_iterator(data):
            scaled = scale_phase_contrast(convert_to_numpy(data[key]), sample=self.sample)
            data[key] = convert_to_dst_type(scaled, data[key], dtype=torch.float32)[0]
        return data


def unlike_phase_contrast(image: np.ndarray) -> str | None:
    """Why an image does not look like phase contrast, where cells are both darker and brighter than the background.

    Parameters
    ----------
    image : ndarray of any number type, any shape
        Gray values of one image.

    Returns
    -------
    str or None
        None where it does, and where it is constant.
    """
    lowest, background, highest = np.percentile(image, [_TAILS[0], 50, _TAILS[1]])
    if highest <= lowest:
        return None
    dark = (background - lowest) / (highest - lowest)
    if dark < _LEAST_DARK:
        return "hardly anything is darker than the background, as in fluorescence"
    if dark > _MOST_DARK:
        return "hardly anything is brighter than the background, as in a stain or an inverted image"
    return None


class WarnOfContrastd(MapTransform):
    """Logs a warning for images that `unlike_phase_contrast` finds something wrong with; changes nothing."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(data):
            reason = unlike_phase_contrast(convert_to_numpy(data[key]))
            if reason:
                logger.warning(
                    "%s: %s; the network knows phase contrast only, look at the mask before you use results",
                    data[key].meta.get("filename_or_obj", "image"),
                    reason,
                )
        return dict(data)
