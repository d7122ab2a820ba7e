"""Myelin and axons as a label map of two classes."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy

from .common.errors import InputError
from .common.labels.fibres import label_fibres
from .fibres import AXON_VALUE, MYELIN_VALUE

__all__ = ["AXON_CLASS", "MYELIN_CLASS", "ClassMapd", "SplitClassesd"]

MYELIN_CLASS, AXON_CLASS = 1, 2  # as metadata.json names them


class ClassMapd(MapTransform):
    """Replaces the maps (2, Y, X) that `FibreInferer` gives by one (1, Y, X): 1 for myelin, 2 for axons."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            axonmyelin = torch.as_tensor(data[key])[1:]
            classes = MYELIN_CLASS * (axonmyelin == MYELIN_VALUE) + AXON_CLASS * (axonmyelin == AXON_VALUE)
            data[key] = convert_to_dst_type(classes, data[key], dtype=torch.uint8)[0]
        return data


class SplitClassesd(MapTransform):
    """Makes fibres of a label map of classes, 1 for myelin and 2 for axons, as somebody drew it in MONAI Label.

    Items whose axons are known stay as they are. Otherwise the label map (1, Y, X) is numbered by fibre, and ``axon``
    and ``myelin`` are added, all int32.

    Raises
    ------
    InputError
        If there are other values than 0, 1 and 2.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            if "axon" in data:
                continue
            classes = convert_to_numpy(data[key])[0]
            if classes.max(initial=0) > AXON_CLASS:
                raise InputError(
                    f"{data[key].meta.get('filename_or_obj')}: labels up to {classes.max()}, and no mask of axons; "
                    "draw 1 for myelin and 2 for axons, or give masks of both"
                )
            fibres = label_fibres(classes == AXON_CLASS, classes == MYELIN_CLASS)
            for name, plane in ((key, fibres.labels), ("axon", fibres.axon), ("myelin", fibres.myelin)):
                data[name] = convert_to_dst_type(plane[None], data[key], dtype=torch.int32)[0]
        return data
