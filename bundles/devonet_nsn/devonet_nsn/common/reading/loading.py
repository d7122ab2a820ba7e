"""Reading images so that what cannot be read is told, not swallowed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from os import PathLike
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import LoadImage, LoadImaged
from nibabel.filebasedimages import ImageFileError

from ..errors import InputError

__all__ = ["CheckedLoadImage", "CheckedLoadImaged"]

# what nibabel raises for no NIfTI, an empty file, a truncated one, damaged compression, and colours
_UNREADABLE = (ImageFileError, OSError, EOFError, zlib.error, TypeError)


class CheckedLoadImage(LoadImage):
    """MONAI's `LoadImage`, which blames the file for what is wrong with it.

    Raises
    ------
    InputError
        If the file is not an image, is damaged, or holds colours.
    """

    def __call__(self, filename: Sequence[PathLike] | PathLike, reader: Any = None) -> torch.Tensor:
        try:
            return super().__call__(filename, reader)
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{filename}: cannot be read as a gray volume ({reason}); it may be damaged, copy or convert it again"
            ) from error


class CheckedLoadImaged(LoadImaged):
    """Dictionary form of `CheckedLoadImage`."""

    def __init__(
        self, keys: KeysCollection, ensure_channel_first: bool = False, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, ensure_channel_first=ensure_channel_first, allow_missing_keys=allow_missing_keys)
        self._loader = CheckedLoadImage(ensure_channel_first=ensure_channel_first)
