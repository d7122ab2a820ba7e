"""Images as Segment Anything wants them, and the way of coordinates and masks there and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from .common.errors import InputError

__all__ = [
    "MEAN",
    "STD",
    "Fit",
    "fit_to",
    "normalise",
    "normalise_rgb",
    "to_image",
    "to_input",
    "to_rgb",
    "upsampling_weights",
]

# of ImageNet's photographs, gray values from 0 to 255: red, green, blue
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)

# percentiles of an image that become black and white
_TAILS = (0.5, 99.5)
_WHITE = 255.0


class Fit(NamedTuple):
    """How an image lies in the network's input: its own size, its size there, both (Y, X), and the input's side."""

    shape: tuple[int, int]
    resized: tuple[int, int]
    size: int

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the input per pixel of the image, (y, x); they differ by the rounding to whole pixels."""
        return self.resized[0] / self.shape[0], self.resized[1] / self.shape[1]


def fit_to(shape: Sequence[int], size: int) -> Fit:
    """Fit an image (Y, X) into the upper left corner of a square, its longer side filling it."""
    scale = size / max(shape)
    height, width = (max(1, int(side * scale + 0.5)) for side in shape)
    return Fit((int(shape[0]), int(shape[1])), (height, width), size)


def to_rgb(image: np.ndarray, *, sample: np.ndarray | None = None) -> np.ndarray:
    """Gray values from 0 to 255 in three channels.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (Y, X), (Y, X, 1) or (Y, X, 3)
        It is stretched so that its 0.5 and 99.5 percentiles become 0 and 255: a pale image would be taken for one of
        those whose myelin is bright. A constant image becomes 0.
    sample : ndarray, optional
        Gray values whose percentiles are taken in the place of the image's: of all of what this image is a part of.

    Returns
    -------
    ndarray of float32, shape (3, Y, X)

    Raises
    ------
    InputError
        If it is of another type or shape.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"an image of type {image.dtype}: expected 8 or 16 bit gray values; export it as such")
    pixels = image[..., None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or 0 in pixels.shape:
        raise InputError(f"an image of shape {image.shape}: expected (Y, X) or (Y, X, 3); drop the alpha channel")
    values = pixels.astype(np.float32)
    black, white = np.percentile(values if sample is None else sample.astype(np.float32), _TAILS)
    values = ((values - black) * (_WHITE / max(white - black, 1e-6))).clip(0, _WHITE).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)).transpose(2, 0, 1))


def normalise(image: np.ndarray, *, size: int = 1024) -> tuple[torch.Tensor, Fit]:
    """An image as the network's input: resized by its longer side, normalised, filled up with 0 right and below.

    Parameters
    ----------
    image : ndarray of uint8 or uint16, shape (Y, X), (Y, X, 1) or (Y, X, 3)
    size : int
        Side of the input in pixels.

    Returns
    -------
    input : Tensor of float32, shape (3, size, size)
    fit : Fit
        For `to_input`, `to_image` and `upsampling_weights`.

    Raises
    ------
    InputError
        As `to_rgb`.
    """
    return normalise_rgb(torch.from_numpy(to_rgb(image)), size=size)


def normalise_rgb(pixels: torch.Tensor, *, size: int = 1024) -> tuple[torch.Tensor, Fit]:
    """`normalise` for what `to_rgb` made, or a tile of it: gray values are taken as they are.

    Parameters
    ----------
    pixels : Tensor of float, shape (3, Y, X)
        From 0 to 255.
    size : int
        Side of the input in pixels.

    Returns
    -------
    input : Tensor of float, shape (3, size, size)
        On the device of ``pixels``.
    fit : Fit
    """
    fit = fit_to(pixels.shape[1:], size)
    if fit.resized != fit.shape:
        pixels = F.interpolate(pixels[None], fit.resized, mode="bilinear", align_corners=False, antialias=True)[0]
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    height, width = fit.resized
    return F.pad((pixels - mean) / std, (0, size - width, 0, size - height)), fit


def to_input(coordinates: np.ndarray, fit: Fit) -> np.ndarray:
    """Places in the image as places in the network's input.

    Parameters
    ----------
    coordinates : ndarray of number, shape (..., 2) or (..., 4)
        (x, y) or (x, y, x, y); integers are centres of pixels. NaN stays NaN.
    fit : Fit

    Returns
    -------
    ndarray of float32, same shape
    """
    return ((coordinates + 0.5) * _factors(coordinates, fit) - 0.5).astype(np.float32)


def to_image(coordinates: np.ndarray, fit: Fit) -> np.ndarray:
    """The inverse of `to_input`."""
    return ((coordinates + 0.5) / _factors(coordinates, fit) - 0.5).astype(np.float32)


def upsampling_weights(fit: Fit, cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices that bring logits to the image: ``down @ logits @ right.T``.

    As Segment Anything does it, up to the input's size, cut, and to the image's; but so that it can be done in a
    window.

    Parameters
    ----------
    fit : Fit
    cells : tuple of int
        (h, w) of the logits.

    Returns
    -------
    down : ndarray of float32, shape (Y, h)
    right : ndarray of float32, shape (X, w)
    """
    down, right = (
        F.interpolate(
            F.interpolate(torch.eye(number)[None], fit.size, mode="linear")[..., :resized], length, mode="linear"
        )[0].T.numpy()
        for number, resized, length in zip(cells, fit.resized, fit.shape, strict=True)
    )
    return down, right


def _factors(coordinates: np.ndarray, fit: Fit) -> np.ndarray:
    y, x = fit.scale
    return np.tile([x, y], coordinates.shape[-1] // 2)
