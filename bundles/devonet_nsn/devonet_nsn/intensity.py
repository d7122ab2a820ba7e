"""Robust intensity scaling of fluorescence volumes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy.ndimage import gaussian_filter

__all__ = ["RandGaind", "ScaleFluorescenced", "change_gain", "scale_fluorescence"]

# enough voxels for a percentile; more only cost time in volumes of gigavoxels
_SAMPLE_SIZE = 2**22
# relative differences that float32 arithmetic makes between equal voxels
_ROUNDING = 1e-5


def scale_fluorescence(
    volume: np.ndarray, *, bright_percentile: float = 99.5, softness: float = 0.1, smoothing_px: float = 1.0
) -> np.ndarray:
    """Map the background to 0 and bright nuclei to about 1, whatever the camera's offset, gain and noise.

    The median is background, since nuclei fill a small part of an embryo's volume. Above it the scale is linear for
    dim voxels and logarithmic for bright ones (inverse hyperbolic sine): a nucleus in division is ten times brighter
    than its neighbours, and the border of each has to be visible. Both levels are read off a smoothed copy: noise
    alone raises the bright percentile of a dim volume by a third, and with it every border would move.

    Parameters
    ----------
    volume : ndarray, shape (Z, Y, X) or (1, Z, Y, X)
        Intensities.
    bright_percentile : float
        Percentile, in [50, 100], that is taken as bright.
    softness : float
        Fraction of the bright level at which the scale turns from linear to logarithmic.
    smoothing_px : float
        Standard deviation of the Gaussian, in voxels, behind which the two levels are measured.

    Returns
    -------
    ndarray of float32, same shape
        All zero if the volume is constant, but for what resampling a constant leaves in float32.
    """
    smooth = gaussian_filter(volume.astype(np.float32), smoothing_px).ravel()
    background, bright = np.percentile(smooth[:: max(1, smooth.size // _SAMPLE_SIZE)], [50, bright_percentile])
    if bright <= background:
        bright = smooth.max()
    if bright - background <= _ROUNDING * abs(background):
        return np.zeros(volume.shape, np.float32)
    scaled = volume.astype(np.float32)
    scaled -= np.float32(background)
    scaled /= np.float32((bright - background) * softness)
    np.arcsinh(scaled, out=scaled)
    scaled /= np.float32(np.arcsinh(1 / softness))
    return scaled


class ScaleFluorescenced(MapTransform):
    """Dictionary form of `scale_fluorescence`."""

    def __init__(
        self,
        keys: KeysCollection,
        bright_percentile: float = 99.5,
        softness: float = 0.1,
        smoothing_px: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.settings = {
            "bright_percentile": bright_percentile,
            "softness": softness,
            "smoothing_px": smoothing_px,
        }

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        for key in self.key_iterator(data):
            scaled = scale_fluorescence(convert_to_numpy(data[key]), **self.settings)
            data[key] = convert_to_dst_type(scaled, data[key], dtype=torch.float32)[0]
        return data


def change_gain(scaled: torch.Tensor, gain: float, *, softness: float = 0.1) -> torch.Tensor:
    """What `scale_fluorescence` would have given for another bright level.

    Parameters
    ----------
    scaled : Tensor of float, any shape
        Result of `scale_fluorescence` with the same ``softness``.
    gain : float
        Positive factor on the intensities above the background.
    softness : float

    Returns
    -------
    Tensor of float, same shape
    """
    scale = float(np.arcsinh(1 / softness))
    return torch.asinh(gain * torch.sinh(scaled * scale)) / scale


class RandGaind(RandomizableTransform, MapTransform):
    """Random `change_gain`, log-uniform within ``gain``: the bright level depends on the nuclei that a volume holds."""

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        gain: tuple[float, float] = (0.6, 1.6),
        softness: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.gain, self.softness = gain, softness

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        self.randomize(None)
        if self._do_transform:
            gain = float(np.exp(self.R.uniform(*np.log(self.gain))))
            for key in self.key_iterator(data):
                data[key] = change_gain(data[key], gain, softness=self.softness)
        return data
