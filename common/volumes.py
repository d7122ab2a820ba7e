"""Writing volumes, atomically and on the grid of their image."""

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from .files import prepare_output_dir, replacing
from .names import stem
from .saving import WritesResults

__all__ = ["ForegroundProbabilityd", "SaveVolumed"]

logger = logging.getLogger(__name__)


class SaveVolumed(WritesResults):
    """Writes ``<image stem>_<kind>.nii.gz`` into one folder, on the grid and with the affine of the input image.

    Parameters
    ----------
    keys : collection of str
        Volumes (1, X, Y, Z) that carry the metadata of the image they come from.
    output_dir : path
        Folder for the results; it is created.
    kind : str
        What the file holds (mask, prob, ...).
    dtype : str
        Data type on disk.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike[str],
        kind: str,
        dtype: str = "uint8",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_dir, self.kind, self.dtype = Path(output_dir), kind, np.dtype(dtype)

    def __call__(self, data: Mapping[Hashable, MetaTensor]) -> dict[Hashable, MetaTensor]:
        prepare_output_dir(self.output_dir)
        for key in self.key_iterator(data):
            volume, source = data[key], data[key].meta["filename_or_obj"]
            target = self.output_dir / f"{stem(source)}_{self.kind}.nii.gz"
            image = nib.Nifti1Image(convert_to_numpy(volume)[0].astype(self.dtype), convert_to_numpy(volume.affine))
            image.header.set_xyzt_units(xyz="micron")
            with replacing(target) as partial:
                nib.save(image, partial)
            logger.info("wrote %s", target)
        return dict(data)


class ForegroundProbabilityd(MapTransform):
    """Turns two-channel logits (2, Z, Y, X) into the probability of the foreground (1, Z, Y, X)."""

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        data = dict(data)
        for key in self.key_iterator(data):
            background, foreground = data[key][0:1], data[key][1:2]
            data[key] = torch.sigmoid(foreground - background)
        return data
