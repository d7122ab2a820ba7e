"""Axons that somebody gave are those of the result, whatever the sheaths enclose that were drawn around them."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from .fibres import AXON_VALUE, MYELIN_VALUE

__all__ = ["KeepAxonsd", "keep_axons"]


def keep_axons(labels: np.ndarray, axonmyelin: np.ndarray, axons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps of fibres whose axons are known.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Fibres as they were drawn, numbered as their axons.
    axonmyelin : ndarray of int, shape (Y, X)
        127 myelin and 255 axon, as they were drawn.
    axons : ndarray of int, shape (Y, X)
        Label map of the axons.

    Returns
    -------
    labels, axonmyelin : ndarray
        Of the same types. What was drawn as axon and is none counts as myelin.
    """
    known = axons > 0
    drawn = np.where(axonmyelin == AXON_VALUE, MYELIN_VALUE, axonmyelin)
    return (
        np.where(known, axons, labels).astype(labels.dtype),
        np.where(known, AXON_VALUE, drawn).astype(axonmyelin.dtype),
    )


class KeepAxonsd(MapTransform):
    """`keep_axons` for what `FibreInferer` gives, where the item has ``axons``; other items stay as they are.

    Parameters
    ----------
    keys : collection of str
        Maps (2, Y, X) of fibres, and of axons and myelin.
    axon_key : str
        Label map of the axons (1, Y, X), as `FindPromptsd` adds it.
    """

    def __init__(self, keys: KeysCollection, axon_key: str = "axons", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.axon_key = axon_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        if self.axon_key in data:
            axons = np.asarray(data[self.axon_key])[0]
            for key in self.key_iterator(data):
                labels, axonmyelin = np.asarray(data[key].as_tensor())
                maps = np.stack(keep_axons(labels, axonmyelin, axons))
                data[key] = data[key].clone().copy_(torch.from_numpy(maps))
        return data
