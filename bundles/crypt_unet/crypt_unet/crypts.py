"""Crypts as objects: from probabilities at the working resolution to masks at the resolution of the slide."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = [
    *("Crypt", "CryptMaskd", "FindCryptsd", "NumberCryptsd"),
    *("find_crypts", "geometry", "least_pixels", "number", "paint", "part_touching"),
]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
MARGIN = 2  # working pixels around a crypt: one that it fades out in, one more to see whether another crypt begins
BAND_PX = 1 << 22
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Crypt:
    """One crypt at the slide's full resolution, cropped to its bounding box.

    Attributes
    ----------
    top, left : int
        Where the box begins, in slide pixels.
    mask : ndarray of bool, shape (height, width)
        Its pixels, connected (8 neighbours).
    """

    top: int
    left: int
    mask: np.ndarray


def find_crypts(
    probability: np.ndarray,
    slide_shape: tuple[int, int],
    downsample: int,
    *,
    threshold: float = 0.5,
    min_area: int = 2500,
    fill_holes: bool = True,
) -> list[Crypt]:
    """Crypts of a slide: what is connected above the threshold, enlarged one by one.

    A crypt is enlarged bilinearly, so that its border runs where the probability crosses the threshold, between the
    centres of working pixels. Where a single working pixel parts two crypts, it goes on parting them. A thin bridge
    over a corner may break; then each part is a crypt.

    Parameters
    ----------
    probability : ndarray of float32, shape (h, w)
        Of crypt, at the working resolution.
    slide_shape : tuple of int
        (Y, X) at full resolution.
    downsample : int
        Slide pixels per working pixel along each axis; the last row and column of blocks may be partial.
    threshold : float
        A crypt's probability lies above it.
    min_area : int
        Smaller ones are dropped, in slide pixels.
    fill_holes : bool
        Whether background that a crypt encloses belongs to it, and so does whatever lies in there.

    Returns
    -------
    list of Crypt
        Ordered by top, then left. No two overlap. Nothing as large as the slide is ever in memory, unless its crypts
        are.

    Raises
    ------
    ValueError
        If the shape of ``probability`` is not the slide's, downsampled.
    """
    expected = tuple(-(-size // downsample) for size in slide_shape)
    if probability.shape != expected:
        raise ValueError(
            f"probability of {probability.shape}, expected {expected}: {tuple(slide_shape)} pixels by {downsample}"
        )
    foreground = probability > threshold
    if fill_holes:
        holes = _holes(foreground)
        probability, foreground = np.where(holes, np.float32(1), probability), foreground | holes
    labels, _ = ndimage.label(foreground, EIGHT_NEIGHBOURS)
    crypts = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        box = rows, columns
        if _largest_area(box, downsample) >= min_area:
            part = _grown(box, labels.shape)
            alone = _without_others(probability[part], labels[part], label)
            corner = (part[0].start * downsample, part[1].start * downsample)
            room = (slide_shape[0] - corner[0], slide_shape[1] - corner[1])
            mask = _enlarge(alone, downsample, room, threshold)
            crypts += _split(mask, corner, max(min_area, 1))
    return sorted(crypts, key=lambda crypt: (crypt.top, crypt.left))


def part_touching(probability: np.ndarray, threshold: float, core_threshold: float) -> np.ndarray:
    """Probability of crypt that is 0 on lines between crypts that touch.

    Parameters
    ----------
    probability : ndarray of float32, shape (C, h, w)
        Of crypt and, if there is a second channel, of the core of one; crypts with cores of their own are parted along
        a watershed between the cores. What has no core stays as it is.
    threshold, core_threshold : float
        Crypts and cores lie above them.

    Returns
    -------
    ndarray of float32, shape (h, w)
    """
    crypt = probability[0]
    if len(probability) < 2:
        return crypt
    foreground = crypt > threshold
    cores, num_cores = ndimage.label(foreground & (probability[1] > core_threshold), EIGHT_NEIGHBOURS)
    if not num_cores:
        return crypt
    relief = -probability[1] - crypt
    basins = watershed(relief, cores, mask=foreground, connectivity=2, watershed_line=True)
    # the flood reaches every pixel that is connected with a core; those that it left 0 there are the lines
    regions, _ = ndimage.label(foreground, EIGHT_NEIGHBOURS)
    has_core = np.zeros(regions.max() + 1, bool)
    has_core[np.unique(regions[cores > 0])] = True
    return np.where(foreground & has_core[regions] & (basins == 0), np.float32(0), crypt)


def paint(crypts: Iterable[Crypt], top: int, left: int, height: int, width: int) -> np.ndarray:
    """Union of crypts in a window.

    Parameters
    ----------
    crypts : iterable of Crypt
        Those outside the window are ignored.
    top, left : int
        The window's corner, in slide pixels.
    height, width : int
        Its size.

    Returns
    -------
    ndarray of bool, shape (height, width)
    """
    window = np.zeros((height, width), bool)
    for crypt in crypts:
        y, x = crypt.top - top, crypt.left - left
        rows, columns = crypt.mask.shape
        if y < height and x < width and y + rows > 0 and x + columns > 0:
            part = crypt.mask[max(-y, 0) : height - y, max(-x, 0) : width - x]
            window[max(y, 0) : y + rows, max(x, 0) : x + columns] |= part
    return window


def number(crypts: Sequence[Crypt], shape: tuple[int, int], step: int = 1) -> np.ndarray:
    """Label map of crypts, numbered from 1 in their order.

    Parameters
    ----------
    crypts : sequence of Crypt
    shape : tuple of int
        (Y, X) of the slide.
    step : int
        Slide pixels per pixel of the result along both axes, of which the first one counts.

    Returns
    -------
    ndarray of uint16, or int32 of more than 65535 crypts, shape (ceil(Y / step), ceil(X / step))
    """
    kind = np.uint16 if len(crypts) <= np.iinfo(np.uint16).max else np.int32
    labels = np.zeros([-(-side // step) for side in shape], kind)
    for label, crypt in enumerate(crypts, start=1):
        seen = crypt.mask[-crypt.top % step :: step, -crypt.left % step :: step]
        top, left = -(-crypt.top // step), -(-crypt.left // step)
        labels[top : top + seen.shape[0], left : left + seen.shape[1]][seen] = label
    return labels


def geometry(image: MetaTensor) -> tuple[tuple[int, int], int]:
    """Shape (Y, X) of a slide at full resolution, and slide pixels per working pixel, from its image's metadata."""
    height, width = image.meta["slide_shape"][:2]
    return (int(height), int(width)), int(image.meta["downsample"])


def least_pixels(image: MetaTensor, min_area_um2: float, slide_um: float) -> int:
    """Pixels of the smallest crypt that counts on a slide.

    Parameters
    ----------
    image : MetaTensor
        The slide, whose metadata hold ``pixel_size_um``, 0 if unknown.
    min_area_um2 : float
        In µm².
    slide_um : float
        Size of a pixel that is taken where it is not known, in µm.
    """
    return math.ceil(min_area_um2 / (float(image.meta.get("pixel_size_um") or 0) or slide_um) ** 2)


class FindCryptsd(MapTransform):
    """Adds the crypts of a slide, a list of `Crypt`.

    Parameters
    ----------
    keys : collection of str
        Probabilities (C, h, w) at the working resolution: of crypts and, perhaps, of their cores.
    image_key : str
        The slide they come from, whose metadata hold ``slide_shape`` and ``downsample``.
    threshold
        As for `find_crypts`.
    min_area_um2, slide_um
        As for `least_pixels`.
    core_threshold : float
        As for `part_touching`.
    crypts_key : str
        What is added.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        threshold: float = 0.5,
        min_area_um2: float = 625.0,
        slide_um: float = 0.5,
        core_threshold: float = 0.5,
        crypts_key: str = "crypts",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.crypts_key, self.threshold = image_key, crypts_key, threshold
        self.min_area_um2, self.slide_um = min_area_um2, slide_um
        self.core_threshold = core_threshold

    def find(self, probabilities: torch.Tensor, image: MetaTensor) -> list[Crypt]:
        """Crypts of the slide ``image``."""
        shape, downsample = geometry(image)
        min_area = least_pixels(image, self.min_area_um2, self.slide_um)
        parted = part_touching(convert_to_numpy(probabilities), self.threshold, self.core_threshold)
        return find_crypts(parted, shape, downsample, threshold=self.threshold, min_area=min_area)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        for key in self.key_iterator(data):
            data[self.crypts_key] = self.find(data[key], data[self.image_key])
        return data


class CryptMaskd(FindCryptsd):
    """Replaces a probability (1, h, w) by the mask of its crypts at full resolution, uint8 (1, Y, X), to be scored.

    The mask of the whole slide is in memory; `SaveCryptsd` does without. Parameters are those of `FindCryptsd`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        image = data[self.image_key]
        shape, _ = geometry(image)
        for key in self.key_iterator(data):
            crypts = self.find(data[key], image)
            mask = torch.from_numpy(paint(crypts, 0, 0, *shape).view(np.uint8)[None])
            data[key] = MetaTensor(mask, meta=dict(image.meta)) if isinstance(data[key], MetaTensor) else mask
        return data


class NumberCryptsd(MapTransform):
    """Replaces probabilities by the label map (1, Y, X) of the crypts that `FindCryptsd` found, see `number`.

    Parameters
    ----------
    keys : collection of str
        What is replaced.
    image_key, crypts_key : str
        The slide and its crypts.
    max_pixels : int
        Of the label map; a larger slide's is smaller by a whole number of pixels along both axes.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_key: str = "image",
        crypts_key: str = "crypts",
        max_pixels: int = 100_000_000,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key, self.crypts_key, self.max_pixels = image_key, crypts_key, max_pixels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        data = dict(data)
        shape, _ = geometry(data[self.image_key])
        step = math.ceil(math.sqrt(shape[0] * shape[1] / self.max_pixels))
        for key in self.key_iterator(data):
            labels = torch.from_numpy(number(data[self.crypts_key], shape, step)[None])
            data[key] = MetaTensor(labels, meta=dict(data[self.image_key].meta))
        return data


def _holes(foreground: np.ndarray) -> np.ndarray:
    """Background that has no way (4 neighbours) to the border of the image."""
    regions, num_regions = ndimage.label(~foreground)
    is_hole = np.ones(num_regions + 1, bool)
    is_hole[0] = False
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        is_hole[edge] = False
    return is_hole[regions]


def _largest_area(box: Box, downsample: int) -> int:
    """Slide pixels that a crypt can cover: it ends before the centres of the working pixels around its box."""
    return int(np.prod([axis.stop - axis.start + 1 for axis in box])) * downsample**2


def _grown(box: Box, shape: tuple[int, int]) -> Box:
    """Box with a margin, inside the image."""
    rows, columns = (
        slice(max(axis.start - MARGIN, 0), min(axis.stop + MARGIN, size)) for axis, size in zip(box, shape, strict=True)
    )
    return rows, columns


def _without_others(probability: np.ndarray, labels: np.ndarray, label: int) -> np.ndarray:
    """Probability that is 0 in all other crypts and beside them, so that enlarging does not bridge a narrow gap."""
    others = (labels != 0) & (labels != label)
    if not others.any():
        return probability
    beside = ndimage.binary_dilation(others, EIGHT_NEIGHBOURS) & (labels != label)
    return np.where(beside, np.float32(0), probability)


def _enlarge(image: np.ndarray, factor: int, shape: tuple[int, int], threshold: float) -> np.ndarray:
    """Where a bilinear enlargement, in which a pixel covers its block and which ``shape`` crops, is above a threshold.

    The numbers are computed a band of rows at a time; only the mask is as large as the result.
    """
    lower, upper, weight = _neighbours(image.shape[0], factor, shape[0])
    left, right, weight_x = _neighbours(image.shape[1], factor, shape[1])
    mask = np.empty((len(lower), len(left)), bool)
    for top in range(0, len(mask), num_rows := max(BAND_PX // len(left), 1)):
        band = slice(top, top + num_rows)
        rows = _between(image[lower[band]], image[upper[band]], weight[band, None])
        mask[band] = _between(rows[:, left], rows[:, right], weight_x) > threshold
    return mask


def _between(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Linear interpolation that gives equal values back exactly, so that none rises above the threshold by rounding."""
    return first + weight * (second - first)


def _neighbours(num_pixels: int, factor: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every enlarged pixel the two pixels whose centres lie around its own, and the second one's weight."""
    position = (np.arange(min(num_pixels * factor, size)) + 0.5) / factor - 0.5
    position = position.clip(0, num_pixels - 1)
    lower = position.astype(np.intp)
    return lower, np.minimum(lower + 1, num_pixels - 1), (position - lower).astype(np.float32)


def _split(mask: np.ndarray, corner: tuple[int, int], min_area: int) -> list[Crypt]:
    """Connected parts of a mask that are large enough, in the coordinates of the slide."""
    labels, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    parts = [(box, labels[box] == label) for label, box in enumerate(ndimage.find_objects(labels), start=1)]
    return [
        Crypt(corner[0] + box[0].start, corner[1] + box[1].start, part)
        for box, part in parts
        if np.count_nonzero(part) >= min_area
    ]
