"""Stain augmentation: other amounts of haematoxylin and eosin, as another laboratory, scanner or year would give."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type
from skimage.color import hed_from_rgb, rgb_from_hed

__all__ = ["RandStaind", "perturb_stain"]

WHITE = 255.0
# taken for black, so that its optical density stays finite
_DARKEST = 0.25


def perturb_stain(
    image: torch.Tensor, scales: Sequence[float] | np.ndarray, shifts: Sequence[float] | np.ndarray
) -> torch.Tensor:
    """Change how strongly each stain took.

    The image is separated into haematoxylin, eosin and a third stain by colour deconvolution; each concentration is
    scaled and shifted, and the colours are put together again.

    Parameters
    ----------
    image : Tensor of float, shape (3, Y, X)
        RGB from 0 to 255.
    scales : sequence of 3 floats
        Factors of the concentrations; 1 changes nothing.
    shifts : sequence of 3 floats
        What is added, in optical density; 0 changes nothing.

    Returns
    -------
    Tensor of float32, shape (3, Y, X)
        RGB from 0 to 255.

    References
    ----------
    Ruifrok, A. C. & Johnston, D. A. Quantification of histochemical staining by color deconvolution. Anal Quant Cytol
    Histol 23, 291-299 (2001). Tellez, D. et al. Whole-slide mitosis detection in H&E breast histology. IEEE TMI 37,
    2126-2136 (2018).
    """
    density = -torch.log(image.float().clamp(min=_DARKEST) / WHITE).flatten(1)
    # scaling between deconvolution and recomposition is one linear map of optical densities
    change = hed_from_rgb @ np.diag(scales) @ rgb_from_hed
    offset = np.asarray(shifts) @ rgb_from_hed
    as_tensor = torch.as_tensor(np.vstack([change, offset]), dtype=torch.float32)
    perturbed = as_tensor[:3].T @ density + as_tensor[3][:, None]
    return (WHITE * torch.exp(-perturbed)).clamp(0, WHITE).reshape(image.shape)


class RandStaind(RandomizableTransform, MapTransform):
    """Perturbs haematoxylin and eosin at random; see `perturb_stain`.

    Parameters
    ----------
    keys : collection of str
        RGB images (3, Y, X) from 0 to 255.
    prob : float
        How often.
    scale : float
        Factors are drawn from ``1 - scale`` to ``1 + scale``, for each stain anew.
    shift : float
        Shifts are drawn from ``-shift`` to ``shift``, in optical density.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        scale: float = 0.3,
        shift: float = 0.05,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.scale, self.shift = scale, shift

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return data
        scales = self.R.uniform(1 - self.scale, 1 + self.scale, 3)
        shifts = self.R.uniform(-self.shift, self.shift, 3)
        for key in self.key_iterator(data):
            perturbed = perturb_stain(torch.as_tensor(data[key]), scales, shifts)
            data[key] = convert_to_dst_type(perturbed, data[key], dtype=torch.float32)[0]
        return data
