"""The sliding window of QCANet's authors, to compare with."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from monai.inferers import Inferer
from torch import nn

__all__ = ["CentralCropInferer"]


class CentralCropInferer(Inferer):
    """Cubic patches of which only the centre is kept; beyond the border the volume is mirrored.

    The authors' programs also pad every volume to a cube; that is left out, in their favour.

    Parameters
    ----------
    patch_size : int
        Edge of a patch in voxels.
    stride : int
        Distance of the patches and edge of the centre that is kept; ``patch_size - stride`` is even.

    References
    ----------
    .. [1] Tokuoka et al. (2020), doi:10.1038/s41540-020-00152-8
    """

    def __init__(self, patch_size: int = 96, stride: int = 48) -> None:
        super().__init__()
        self.patch_size, self.stride = patch_size, stride

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args, **kwargs) -> torch.Tensor:
        """Logits of a batch of volumes (N, C, Z, Y, X), same spatial shape."""
        shape, stride, margin = inputs.shape[2:], self.stride, (self.patch_size - self.stride) // 2
        covered = [-(-size // stride) * stride for size in shape]
        padding = [(margin, whole - size + margin) for whole, size in zip(covered, shape, strict=True)]
        mirrored = np.pad(inputs.cpu().numpy(), [(0, 0), (0, 0), *padding], mode="reflect")
        volume, result = torch.from_numpy(mirrored).to(inputs.device), None
        for corner in product(*(range(0, whole, stride) for whole in covered)):
            patch = volume[(..., *(slice(start, start + self.patch_size) for start in corner))]
            centre = network(patch, *args, **kwargs)[(..., *[slice(margin, margin + stride)] * 3)]
            if result is None:
                result = centre.new_empty(*centre.shape[:2], *covered)
            result[(..., *(slice(start, start + stride) for start in corner))] = centre
        return result[(..., *map(slice, shape))]
