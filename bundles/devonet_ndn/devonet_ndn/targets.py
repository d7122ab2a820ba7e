"""What the network learns: a ball around the centre of every nucleus."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy import ndimage

__all__ = ["BallTargetsd", "CentresUmd", "draw_balls", "find_centres"]


def find_centres(instances: np.ndarray) -> np.ndarray:
    """Centroid of every object.

    Parameters
    ----------
    instances : ndarray of int or whole float, any shape
        Label image of markers or of whole nuclei; 0 is background.

    Returns
    -------
    ndarray of float64, shape (n, ndim)
        In voxels, in order of the labels.
    """
    labels = np.unique(instances)
    labels = labels[labels != 0]
    if labels.size == 0:
        return np.zeros((0, instances.ndim))
    return np.array(ndimage.center_of_mass(instances != 0, instances, labels))


def draw_balls(shape: Sequence[int], centres: np.ndarray, radii: Sequence[float]) -> np.ndarray:
    """Ellipsoids of one size, as a mask; the voxel nearest to a centre always belongs to it.

    Parameters
    ----------
    shape : sequence of int
        Shape of the mask.
    centres : ndarray of float, shape (n, len(shape))
        In voxels; what lies outside the mask is cut off.
    radii : sequence of float
        Half the length of each axis, in voxels.

    Returns
    -------
    ndarray of bool, shape ``shape``
    """
    mask = np.zeros(shape, bool)
    reach = np.asarray(radii, float)
    for centre in np.asarray(centres):
        low = np.clip(np.floor(centre - reach).astype(int), 0, shape)
        high = np.clip(np.ceil(centre + reach).astype(int) + 1, 0, shape)
        axes = np.ogrid[tuple(map(slice, low, high))]
        distance = sum(
            ((axis - middle) / radius) ** 2 for axis, middle, radius in zip(axes, centre, reach, strict=True)
        )
        mask[tuple(map(slice, low, high))] |= distance <= 1
        nearest = np.rint(centre).astype(int)
        if np.all((nearest >= 0) & (nearest < shape)):
            mask[tuple(nearest)] = True
    return mask


class BallTargetsd(MapTransform):
    """Replaces label images by balls around the centres of their objects, on the grid of the image.

    The image may have been resampled since; affines give the place of a centre in it.

    Parameters
    ----------
    keys : collection of str
        Label images (1, X, Y, Z) as they were loaded.
    radius : float
        Radius of the balls.
    unit : {"um", "voxel"}
        Micrometres, or voxels of the label image along each axis.
    image_key : str
        The image.

    Raises
    ------
    ValueError
        If the unit is another one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        radius: float,
        unit: str = "um",
        image_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if unit not in ("um", "voxel"):
            raise ValueError(f"unit is {unit!r}, expected 'um' or 'voxel'")
        self.radius, self.unit, self.image_key = radius, unit, image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        image = data[self.image_key]
        for key in self.key_iterator(data):
            labels = data[key]
            to_image = np.linalg.inv(convert_to_numpy(image.affine)) @ convert_to_numpy(labels.affine)
            centres = find_centres(convert_to_numpy(labels)[0]) @ to_image[:3, :3].T + to_image[:3, 3]
            radius_um = self.radius * (1.0 if self.unit == "um" else convert_to_numpy(labels.pixdim))
            balls = draw_balls(image.shape[1:], centres, radius_um / convert_to_numpy(image.pixdim))
            data[key] = convert_to_dst_type(balls[None], image, dtype=torch.float32)[0]
        return data


class CentresUmd(MapTransform):
    """Replaces label images (1, X, Y, Z) by the centres of their objects, (n, 3) as (Z, Y, X) in micrometres."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            centres = find_centres(convert_to_numpy(data[key])[0]) * convert_to_numpy(data[key].pixdim)
            data[key] = torch.as_tensor(centres[:, ::-1].copy(), dtype=torch.float32)
        return data
