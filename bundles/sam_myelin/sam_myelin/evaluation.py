"""One prediction for everything an evaluation judges: fibres found automatically, and fibres found from boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type

__all__ = ["EvaluationInferer"]


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
        found = [inferer(inputs, network, *args, **kwargs) for inferer in (self.automatic, self.prompted)]
        stacked = torch.cat([result.as_subclass(torch.Tensor) for result in found], dim=1)
        return convert_to_dst_type(stacked, inputs, dtype=stacked.dtype, device=stacked.device)[0]
