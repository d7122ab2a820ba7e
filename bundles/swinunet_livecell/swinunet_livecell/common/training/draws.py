"""Patches of a training: drawn from images that are read once; turned, mirrored and zoomed as they are cut."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.pool import ThreadPool
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import CacheDataset, pickle_hashing
from monai.transforms import MapTransform, Randomizable, RandomizableTransform
from monai.utils import convert_to_tensor
from tqdm import tqdm

from ..errors import InputError
from ..files import prepare_output_dir, replacing
from ..memory import total_memory

__all__ = ["DrawnPatches", "RandCutPatchd", "cut_patch"]

logger = logging.getLogger(__name__)

IGNORED = -1
SHARE_OF_MEMORY = 0.7  # that images may take; the rest is the network's and the system's
MANY = 50  # images that take long enough to show how far they are
SURE = 20  # images that tell how large the others are


def cut_patch(
    image: torch.Tensor,
    centre: Sequence[float],
    size: Sequence[int],
    *,
    zoom: float = 1.0,
    angle: float = 0.0,
    mirror: bool = False,
    mode: str = "bilinear",
    outside: float = 0.0,
) -> torch.Tensor:
    """Cut a patch around a point, turned about it.

    Only the neighbourhood of the point is touched, so the size of the image does not matter.

    Parameters
    ----------
    image : Tensor, shape (C, Y, X)
        Of any dtype.
    centre : sequence of 2 floats
        Row and column of the pixel that becomes the middle of the patch.
    size : sequence of 2 ints
        Height and width of the patch.
    zoom : float
        Above 1 things look larger.
    angle : float
        In radians; what is turned is the patch.
    mirror : bool
        Whether left and right are swapped.
    mode : str
        ``bilinear`` or ``nearest``.
    outside : float
        Value where the patch reaches beyond the image.

    Returns
    -------
    Tensor of float32, shape (C, *size)
    """
    height, width = size
    radius = int(np.ceil(np.hypot(height, width) / 2 / zoom)) + 2
    middle = [round(float(coordinate)) for coordinate in centre]
    crop = _square(image, middle, radius, outside)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    # affine_grid counts in halves of the input and of the output; crop's centre is the pixel `radius` of 2 radius + 1
    half = radius + 0.5
    turn = np.array([[cos * width, -sin * height], [sin * width, cos * height]]) / 2 / half
    if mirror:
        turn[:, 0] *= -1
    shift = (np.asarray(centre, float) - middle)[::-1, None] / half
    theta = torch.as_tensor(np.hstack([turn, shift]), dtype=torch.float32)[None]
    grid = F.affine_grid(theta, [1, 1, height, width], align_corners=False)
    return F.grid_sample(crop[None], grid, mode=mode, padding_mode="border", align_corners=False)[0]


def _square(image: torch.Tensor, middle: Sequence[int], radius: int, outside: float) -> torch.Tensor:
    """Pixels at most ``radius`` away from the middle along both axes, float, filled up beyond the image."""
    spans = [(place - radius, place + radius + 1) for place in middle]
    inside = [slice(max(first, 0), max(last, 0)) for first, last in spans]
    crop = image[:, inside[0], inside[1]].float()
    (top, bottom), (left, right) = (
        (max(-first, 0), max(last - length, 0)) for (first, last), length in zip(spans, image.shape[1:], strict=True)
    )
    return F.pad(crop, (left, right, top, bottom), value=outside)


class RandCutPatchd(RandomizableTransform, MapTransform):
    """Cuts a patch at an item's ``centre``, which it removes, from the image and its targets alike.

    Parameters
    ----------
    keys : collection of str
        The image first, which is interpolated and 0 outside; of the others the nearest pixel is taken, and what
        lies outside is ignored.
    size : sequence of 2 ints
        Height and width of the patch.
    zoom : sequence of 2 floats
        Range of the zoom; its logarithm is drawn, so that halving is as likely as doubling.
    rotation : float
        Largest angle, in degrees, to both sides.
    mirror : bool
        Whether half of the patches are mirrored; with a rotation by 180 degrees these are all flips.
    keep_inside : bool
        Whether a centre near the border is moved inwards until a patch that is not turned lies inside the image, so
        that little of it shows nothing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: Sequence[int],
        zoom: Sequence[float] = (1.0, 1.0),
        rotation: float = 180.0,
        mirror: bool = True,
        keep_inside: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.size, self.zoom, self.rotation, self.mirror = tuple(size), tuple(zoom), rotation, mirror
        self.keep_inside = keep_inside

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        centre = data.pop("centre")
        options: dict[str, Any] = {
            "zoom": float(np.exp(self.R.uniform(*np.log(self.zoom)))),
            "angle": float(np.deg2rad(self.R.uniform(-self.rotation, self.rotation))),
            "mirror": bool(self.mirror and self.R.uniform() < 0.5),
        }
        if self.keep_inside:
            centre = _moved_inside(centre, self.size, options["zoom"], data[self.keys[0]].shape[1:])
        for key in self.key_iterator(data):
            kind: dict[str, Any] = (
                {"mode": "bilinear"} if key == self.keys[0] else {"mode": "nearest", "outside": IGNORED}
            )
            data[key] = cut_patch(torch.as_tensor(data[key]), centre, self.size, **options, **kind)
        return data


def _moved_inside(centre: Sequence[float], size: Sequence[int], zoom: float, shape: Sequence[int]) -> tuple[float, ...]:
    """The nearest centre of a patch that lies inside the image; the image's own where the patch is larger."""
    halves = [min(side / zoom, length) / 2 for side, length in zip(size, shape, strict=True)]
    return tuple(
        min(max(float(place), half), length - half) for place, half, length in zip(centre, halves, shape, strict=True)
    )


class DrawnPatches(CacheDataset, Randomizable):
    """Patches of images: every item is drawn anew, whatever its index.

    The transforms before the first random one are applied once to every image; the random ones get an item of the
    image with the ``centre`` (row, column) of a patch. Large images are drawn from more often than small ones.

    Parameters
    ----------
    data : sequence of dict
        Images, as the transforms read them. After those that are not random, ``label`` holds the targets, (C, Y, X),
        whose first channel is 1 in objects, 0 beside them and negative where nothing is known.
    transform : Compose
        What is applied to them.
    num_patches : int
        Length of the data set.
    foreground_share : float
        How many of the patches have their centre in an object; that of the others is anywhere that is known.
    cache_rate : float
        Part of the images that stays in memory; the others are read again for each of their patches.
    num_workers : int
        Threads that read the images.
    cache_dir : str
        Folder that keeps the images after the transforms that are not random, in the place of memory; a later training
        goes on with what is there. ``none`` for memory.

    Raises
    ------
    InputError
        If nothing is known on any image, or the images need more memory than the machine has.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Any,
        num_patches: int,
        foreground_share: float = 2 / 3,
        cache_rate: float = 1.0,
        num_workers: int | None = 1,
        cache_dir: str = "none",
    ) -> None:
        self.num_patches, self.foreground_share = num_patches, foreground_share
        self._places: tuple[list[_Places], list[_Places]] | None = None
        self._sizes: list[int] = []
        self._folder = None if cache_dir == "none" else Path(cache_dir)
        if self._folder is not None:
            prepare_output_dir(self._folder)
            made_by = pickle_hashing(transform.transforms[: transform.get_index_of_first(_is_random)])
            self._files = [self._folder / f"{sha256(_hash_of(item) + made_by).hexdigest()}.pt" for item in data]
        super().__init__(
            data,
            transform,
            cache_rate=cache_rate if self._folder is None else 0.0,
            num_workers=num_workers,
            copy_cache=False,
            progress=len(data) >= MANY,
        )

    def __len__(self) -> int:
        return self.num_patches

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> DrawnPatches:
        """Seed the transforms, too, since seeding the data set, for workers and epochs, does not reach them."""
        super().set_random_state(seed, state)
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=int(self.R.randint(np.iinfo(np.uint32).max, dtype=np.uint32)))
        return self

    def randomize(  # type: ignore[override]  # MONAI's own returns nothing
        self, data: Any = None
    ) -> tuple[int, tuple[int, int]]:
        """Draw an image and a place on it.

        Returns
        -------
        image : int
        centre : tuple of int
            Row and column.
        """
        objects, known = self._find_places()
        in_objects = self.R.uniform() < self.foreground_share and any(place.count for place in objects)
        places = objects if in_objects else known
        counts = np.array([place.count for place in places], float)
        image = int(self.R.choice(len(places), p=counts / counts.sum()))
        return image, places[image].at(self.R.randint(places[image].count))

    def _transform(self, index: int) -> Any:
        image, centre = self.randomize()
        item = {**self._image(image), "centre": centre}
        first = self.transform.get_index_of_first(_is_random)
        return self.transform(item, start=first) if first is not None else item

    def _image(self, index: int) -> dict[str, Any]:
        """An image after the transforms that are not random."""
        if self._folder is not None:
            return self._stored(index)
        if index < self.cache_num:
            return self._cache[index]
        return super()._load_cache_item(index)

    def _stored(self, index: int) -> dict[str, Any]:
        """An image from the disk; made anew where a file of it, or a transform, is another one, or it is damaged."""
        path = self._files[index]
        if path.is_file():
            try:
                return dict(torch.load(path, weights_only=True))
            except (OSError, ValueError, RuntimeError, EOFError, LookupError, UnpicklingError):
                logger.warning("%s: cannot be read, made anew", path)
        item = super()._load_cache_item(index)
        kept: dict[str, Any] = convert_to_tensor(item, track_meta=False)
        with replacing(path) as partial:
            torch.save(kept, partial)
        return kept

    def _load_cache_item(self, idx: int) -> dict[str, Any]:
        """An image that stays in memory, if all of them have room there."""
        item: dict[str, Any] = super()._load_cache_item(idx)
        self._sizes.append(sum(value.nbytes for value in item.values() if isinstance(value, torch.Tensor)))
        needed = self.cache_num * float(np.mean(self._sizes))
        memory = total_memory()
        if needed > SHARE_OF_MEMORY * memory and len(self._sizes) >= min(SURE, self.cache_num):
            rate = int(100 * SHARE_OF_MEMORY * memory / needed * self.cache_num / len(self.data)) / 100
            raise InputError(
                f"{self.cache_num} images to train on take {needed / 1e9:.0f} GB as the network sees them, and this "
                f"machine has {memory / 1e9:.0f} GB: keep them on a disk with --cache_dir FOLDER, or only a part of "
                f"them in memory, --cache_rate {rate}; the others are then read again for each patch"
            )
        return item

    def _find_places(self) -> tuple[list[_Places], list[_Places]]:
        """For every image the pixels in objects, and all that are known."""
        if self._places is None:
            numbers = range(len(self.data))
            with ThreadPool(self.num_workers or 1) as pool:
                seen = tqdm(pool.imap(self._places_of, numbers), total=len(numbers), disable=len(numbers) < MANY)
                objects, known = zip(*seen, strict=True)
            if not any(place.count for place in known):
                raise InputError("no image to train on shows anything: all of them are black; convert others")
            if not any(place.count for place in objects):
                logger.warning(
                    "no image to train on has an object: what learns from them finds nothing; see their labels"
                )
            self._places = [*objects], [*known]
        return self._places

    def _places_of(self, index: int) -> tuple[_Places, _Places]:
        target = np.asarray(self._image(index)["label"][0])
        return _Places.of(target > 0), _Places.of(target >= 0)


def _is_random(transform: Any) -> bool:
    return isinstance(transform, Randomizable)


def _hash_of(item: Mapping[str, Any]) -> bytes:
    """What an item is known by: its values, and when the files among them were written."""
    files = {key: Path(value) for key, value in item.items() if isinstance(value, str)}
    written = {key: path.stat().st_mtime_ns for key, path in files.items() if path.is_file()}
    return pickle_hashing([dict(item), written])


@dataclass(frozen=True)
class _Places:
    """Pixels of an image, a bit each, since pairs of numbers would need more memory than the image."""

    bits: np.ndarray
    width: int
    size: int
    count: int

    @classmethod
    def of(cls, mask: np.ndarray) -> _Places:
        return cls(np.packbits(mask), mask.shape[1], mask.size, int(np.count_nonzero(mask)))

    def at(self, number: int) -> tuple[int, int]:
        """Row and column of one of them, in the order of rows."""
        place = int(np.flatnonzero(np.unpackbits(self.bits, count=self.size))[number])
        return divmod(place, self.width)
