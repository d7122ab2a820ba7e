"""Training on slices of volumes: which ones are drawn, and what is to be found in them."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from .common.errors import InputError
from .targets import check_num_slices, stack_indices

__all__ = ["RandSlicesd", "draw_slices"]


def draw_slices(
    has_objects: np.ndarray, num_samples: int, empty_ratio: float, random: np.random.RandomState
) -> np.ndarray:
    """Slices to train on; none comes twice before every other one of its kind has come.

    Parameters
    ----------
    has_objects : ndarray of bool, shape (Z,)
        Whether there is an object in each slice.
    num_samples : int
        Slices to draw.
    empty_ratio : float
        Empty slices per slice with objects, on average; where there is one kind only, all are of that kind.
    random : RandomState
        Source of chance.

    Returns
    -------
    ndarray of int, shape (num_samples,)
    """
    full, empty = np.flatnonzero(has_objects), np.flatnonzero(~has_objects)
    num_empty = random.binomial(num_samples, empty_ratio / (1 + empty_ratio))
    num_empty = num_samples if not full.size else num_empty if empty.size else 0
    return np.concatenate([_draw(full, num_samples - num_empty, random), _draw(empty, num_empty, random)])


def _draw(slices: np.ndarray, number: int, random: np.random.RandomState) -> np.ndarray:
    if not number:
        return slices[:0]
    rounds = [random.permutation(slices) for _ in range(-(-number // len(slices)))]
    return np.concatenate(rounds)[:number]


class RandSlicesd(RandomizableTransform, MapTransform):
    """Draws slices of a volume, each with its neighbours, as MONAI's random crops do: one item becomes a list.

    What comes before it in a ``CacheDataset``'s transform is cached for whole volumes, normalization included.
    Everything after it sees images (num_slices, Y, X) with the slices as channels, and label images (1, Y, X), plain
    tensors without metadata, so that MONAI's 2D transforms treat all slices of a stack and their labels alike.

    Parameters
    ----------
    keys : collection of str
        The image, (1, Z, Y, X), then its label images of the same shape.
    num_slices : int
        Slices in a stack, odd; at the ends of the volume the last slice is repeated.
    num_samples : int
        Stacks to draw from a volume each time.
    empty_ratio : float
        As for `draw_slices`.

    Raises
    ------
    InputError
        If a setting is out of range, an item is not a volume, or a label image differs in shape from the image.
    """

    def __init__(
        self,
        keys: KeysCollection,
        num_slices: int,
        num_samples: int = 4,
        empty_ratio: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob=1.0)
        check_num_slices(num_slices)
        if num_samples < 1 or empty_ratio < 0:
            raise InputError(
                f"{num_samples} samples with {empty_ratio} empty slices per slice with objects: "
                "expected at least one sample, and a ratio from 0"
            )
        self.num_slices, self.num_samples, self.empty_ratio = num_slices, num_samples, empty_ratio
        self.centres = np.zeros(0, int)

    def randomize(self, data: np.ndarray) -> None:
        """Draw slices; ``data`` says which ones have objects."""
        self.centres = draw_slices(data, self.num_samples, self.empty_ratio, self.R)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> list[dict[Hashable, torch.Tensor]]:
        volumes = {key: torch.as_tensor(data[key]).as_subclass(torch.Tensor) for key in self.key_iterator(data)}
        image_key = self.keys[0]
        image = volumes.pop(image_key)
        for key, volume in {image_key: image, **volumes}.items():
            if volume.ndim != 4 or volume.shape[0] != 1 or volume.shape != image.shape:
                name = getattr(data[key], "meta", {}).get("filename_or_obj", key)
                raise InputError(
                    f"{name}: {key} of shape {tuple(volume.shape)}, its image {tuple(image.shape)}; expected one gray "
                    "volume (1, Z, Y, X) and labels on its grid; convert the data again"
                )
        has_objects = torch.ones(image.shape[1], dtype=torch.bool)
        for volume in volumes.values():
            has_objects = (volume[0] != 0).flatten(1).any(dim=1).cpu()
        self.randomize(has_objects.numpy())
        stacks = stack_indices(torch.from_numpy(self.centres), image.shape[1], self.num_slices)
        return [
            {image_key: image[0, stack], **{key: volume[0, [centre]] for key, volume in volumes.items()}}
            for centre, stack in zip(self.centres, stacks, strict=True)
        ]
