"""One prediction for everything an evaluation judges, fibres found automatically and from boxes, and of what image."""

import hashlib
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy

__all__ = ["EvaluationInferer", "NameModalityd", "modality_of"]


def modality_of(image: str | Path) -> str:
    """What stands after the last ``_`` of an image's stem, such as TEM, as BIDS names files; without one, the stem."""
    return Path(image).name.partition(".")[0].rpartition("_")[2]


class NameModalityd(MapTransform):
    """Adds `modality_of` an image as ``modality``.

    Parameters
    ----------
    keys : collection of str
        Images whose metadata hold ``filename_or_obj``.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data["modality"] = modality_of(data[key].meta["filename_or_obj"])
        return data


class _OnceSegmented:
    """A network whose segmenter works on each window once: all that judge an image need it."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.known: dict[tuple[tuple[int, ...], bytes], torch.Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        key = tuple(image.shape), hashlib.sha256(convert_to_numpy(image).tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.network.segment(image)
        return self.known[key]


class EvaluationInferer(Inferer):
    """What two inferers find in the same image, one after the other along the channels.

    Parameters
    ----------
    automatic, prompted : Inferer
        Each is called as this one is, and returns (1, C, Y, X).
    """

    def __init__(self, automatic: Inferer, prompted: Inferer) -> None:
        self.automatic, self.prompted = automatic, prompted

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Results of the automatic, then of the prompted inferer, (1, 2 C, Y, X), with the metadata of ``inputs``."""
        bare: Any = getattr(network, "module", network)
        shared: Any = _OnceSegmented(bare) if hasattr(bare, "segment") else network
        found = [inferer(inputs, shared, *args, **kwargs) for inferer in (self.automatic, self.prompted)]
        stacked = torch.cat([result.as_subclass(torch.Tensor) for result in found], dim=1)
        return convert_to_dst_type(stacked, inputs, dtype=stacked.dtype, device=stacked.device)[0]
