"""Robust intensity scaling of fluorescence volumes."""

from collections.abc import Hashable, Mapping
from os import PathLike

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy

__all__ = ["ScaleFluorescenced", "scale_fluorescence"]

# enough voxels for a percentile; more only cost time in volumes of gigavoxels
_SAMPLE_SIZE = 2**22
# relative differences that float32 arithmetic makes between equal voxels
_ROUNDING = 1e-5


def scale_fluorescence(
    volume: np.ndarray, *, bright_percentile: float = 99.5, softness: float = 0.1, sample: np.ndarray | None = None
) -> np.ndarray:
    """Map the background to 0 and bright nuclei to about 1, whatever the camera's offset and gain.

    The median is background, since nuclei fill a small part of an embryo's volume. Above it the scale is linear for
    dim voxels and logarithmic for bright ones (inverse hyperbolic sine): a nucleus in division is ten times brighter
    than its neighbours, and the border of each has to be visible.

    Parameters
    ----------
    volume : ndarray, any shape
        Intensities.
    bright_percentile : float
        Percentile, in [50, 100], that is taken as bright.
    softness : float
        Fraction of the bright level at which the scale turns from linear to logarithmic.
    sample : ndarray, optional
        Intensities that are measured instead of the volume's: of all of an image that this volume is a part of.

    Returns
    -------
    ndarray of float32, same shape
        All zero if the volume is constant, but for what resampling a constant leaves in float32.
    """
    measured = volume if sample is None else sample
    background, bright = np.percentile(
        measured.ravel()[:: max(1, measured.size // _SAMPLE_SIZE)], [50, bright_percentile]
    )
    if bright <= background:
        bright = measured.max()
    if bright - background <= _ROUNDING * abs(background):
        return np.zeros(volume.shape, np.float32)
    scaled = volume.astype(np.float32)
    scaled -= np.float32(background)
    scaled /= np.float32((bright - background) * softness)
    np.arcsinh(scaled, out=scaled)
    scaled /= np.float32(np.arcsinh(1 / softness))
    return scaled


class ScaleFluorescenced(MapTransform):
    """Dictionary form of `scale_fluorescence`; the sample is a file that NumPy reads, or ``none``."""

    def __init__(
        self,
        keys: KeysCollection,
        bright_percentile: float = 99.5,
        softness: float = 0.1,
        sample: str | PathLike[str] = "none",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.bright_percentile, self.softness = bright_percentile, softness
        self.sample = None if sample == "none" else np.load(sample)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        for key in self.key_iterator(data):
            scaled = scale_fluorescence(
                convert_to_numpy(data[key]),
                bright_percentile=self.bright_percentile,
                softness=self.softness,
                sample=self.sample,
            )
            data[key] = convert_to_dst_type(scaled, data[key], dtype=torch.float32)[0]
        return data
