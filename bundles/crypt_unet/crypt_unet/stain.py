"""Stains: other amounts of haematoxylin and eosin to train with, and a warning of slides that look like neither."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type
from skimage.color import hed_from_rgb, rgb_from_hed

from .tissue import BLACK_LEVEL, has_data

__all__ = ["RandStaind", "WarnOfStaind", "perturb_stain", "unlike_he"]

logger = logging.getLogger(__name__)

WHITE = 255.0
# taken for black, so that its optical density stays finite
_DARKEST = 0.25
# sum of the optical densities of red, green and blue from which a pixel is stained, and not glass
_STAINED = 0.45
# haematoxylin and eosin both take most of the green light; of the stained pixels of known slides 78 % say so or more
_LEAST_SHARE = 0.5


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


def unlike_he(image: torch.Tensor) -> str | None:
    """Why a slide does not look stained with haematoxylin and eosin.

    Both take more green light than red and blue, so that tissue is between blue and pink. Brown (immunohistochemistry
    with DAB), green and blue (trichromes) are not; nor is light on a dark ground (dark field, fluorescence). Magenta
    (periodic acid-Schiff) cannot be told from them this way.

    Parameters
    ----------
    image : Tensor of uint8, shape (3, Y, X)
        RGB; black is passed over as a region without data.

    Returns
    -------
    str or None
        None where it does, and where there is no tissue to judge by.
    """
    step = max(1, max(image.shape[1:]) // 1000)  # a million pixels tell enough
    sample = torch.as_tensor(image)[:, ::step, ::step]
    pixels = sample[:, has_data(sample)].float()
    if pixels.shape[1] and pixels.amax(0).median() <= BLACK_LEVEL:
        return "most of it is dark, as in dark field or fluorescence"
    density = -torch.log(pixels.clamp(min=_DARKEST) / WHITE)
    stained = density[:, density.sum(0) > _STAINED]
    share = (stained.argmax(0) == 1).float().mean().item() if stained.shape[1] else 1.0
    if share < _LEAST_SHARE:
        return f"only {share:.0%} of the stained pixels are between blue and pink, as in another stain"
    return None


class WarnOfStaind(MapTransform):
    """Logs a warning for slides that `unlike_he` finds something wrong with; changes nothing."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(data):
            reason = unlike_he(data[key])
            if reason:
                logger.warning(
                    "%s: %s; the network knows haematoxylin and eosin only, look at the overlay before you use results",
                    data[key].meta.get("filename_or_obj", "slide"),
                    reason,
                )
        return dict(data)
