"""Images without structure, in which a network would find something all the same."""

import logging
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

__all__ = ["EmptyIfConstantd"]

logger = logging.getLogger(__name__)


class EmptyIfConstantd(MapTransform):
    """Sets a prediction to zero where each channel of the image has one value everywhere, and warns of it.

    Parameters
    ----------
    keys : collection of str
        Predictions, of any shape.
    image_key : str
        The image (C, ...), as it was loaded or scaled.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        pixels = torch.as_tensor(data[self.image_key]).flatten(1)
        if torch.equal(pixels.amin(1), pixels.amax(1)):
            name = getattr(data[self.image_key], "meta", {}).get("filename_or_obj", "the image")
            logger.warning("%s: all pixels have one value, the result is empty; look at the image", name)
            for key in self.key_iterator(data):
                data[key] = torch.zeros_like(data[key])
        return data
