"""Random parts of a micrograph and its label maps, turned, mirrored and magnified."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Affine, MapTransform, Randomizable

from .common.errors import InputError
from .tiles import AUTO, tile_side

__all__ = ["RandPatchd", "patch_affine"]


def patch_affine(
    centre: Sequence[float], shape: Sequence[int], *, zoom: float, angle: float, mirrored: bool
) -> np.ndarray:
    """Matrix that takes places of a patch to places of the image, both counted from their middles in pixels, (y, x).

    Parameters
    ----------
    centre : tuple of float
        Place in the image, (y, x) in pixels, that is in the middle of the patch.
    shape : tuple of int
        (Y, X) of the image.
    zoom : float
        Pixels of the patch per pixel of the image.
    angle : float
        By which the patch is turned, in radians.
    mirrored : bool

    Returns
    -------
    ndarray of float, shape (3, 3)
        For MONAI's `Affine`.
    """
    cosine, sine, sign = math.cos(angle), math.sin(angle), -1 if mirrored else 1
    matrix = np.eye(3)
    matrix[:2, :2] = np.array([[cosine, -sine * sign], [sine, cosine * sign]]) / zoom
    matrix[:2, 2] = [place - (length - 1) / 2 for place, length in zip(centre, shape, strict=True)]
    return matrix


class RandPatchd(MapTransform, Randomizable):
    """Cuts the same random patch out of an image and its label maps.

    Patches are as much magnified as tiles are in inference, times a random factor, and lie inside the image as far as
    they can; what is outside is mirrored.

    Parameters
    ----------
    keys : collection of str
        Tensors (C, Y, X), the image first; the image is interpolated, label maps keep their labels.
    size : int
        Side of the patch in pixels.
    zoom_range : (float, float)
        Of the random factor, which is drawn evenly on a logarithmic scale.
    magnified : bool
        Whether the images are magnified already.

    Raises
    ------
    InputError
        If the range is none.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int,
        zoom_range: tuple[float, float],
        magnified: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        low, high = zoom_range
        if not 0 < low <= high:
            raise InputError(f"--zoom_range {list(zoom_range)}: expected two positive numbers, the smaller one first")
        self.size, self.log_zooms, self.magnified = size, (math.log(low), math.log(high)), magnified

    def randomize(self, data: Any) -> np.ndarray:  # type: ignore[override]  # MONAI's own returns nothing
        """Draw a patch of an image of shape ``data`` [0] and usual magnification ``data`` [1]."""
        shape, usual = data
        zoom = usual * math.exp(self.R.uniform(*self.log_zooms))
        margin = self.size / zoom / 2
        centre = [self.R.uniform(min(margin, length / 2), max(length - margin, length / 2)) for length in shape]
        return patch_affine(
            centre, shape, zoom=zoom, angle=self.R.uniform(0, 2 * math.pi), mirrored=self.R.random() < 0.5
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        image = data[self.keys[0]]
        usual = 1.0 if self.magnified else self.size / tile_side(AUTO, image.meta["pixel_size_um"], self.size)
        affine = self.randomize((image.shape[1:], usual))
        for key in self.key_iterator(data):
            mode = "bilinear" if key == self.keys[0] else "nearest"
            cut = Affine(affine=affine, spatial_size=(self.size,) * 2, mode=mode, padding_mode="reflection")
            data[key] = cut(data[key].as_subclass(torch.Tensor).float())[0].as_subclass(torch.Tensor)
        return data
