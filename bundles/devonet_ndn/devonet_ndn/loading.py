# Copied from bundles/devonet_nsn/devonet_nsn/loading.py: edit there, then run python -m tools vendor
"""Reading images so that what cannot be read is told, not swallowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import DataLoader, ThreadDataLoader
from monai.data.thread_buffer import buffer_iterator
from monai.transforms import LoadImage, LoadImaged
from nibabel.filebasedimages import ImageFileError

from .errors import InputError, find_input_error

__all__ = ["CheckedLoadImage", "CheckedLoadImaged", "PrefetchingLoader"]

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


class PrefetchingLoader(ThreadDataLoader):
    """MONAI's `ThreadDataLoader`, which loads batches in a thread, and raises here what goes wrong there.

    MONAI's own takes the end of the thread for the end of the epoch, so an image that cannot be read would shorten
    every epoch in silence.
    """

    def __iter__(self) -> Iterator[Any]:
        batches = _with_error(DataLoader.__iter__(self))
        for batch in buffer_iterator(batches, self.buffer_size, self.buffer_timeout, self.repeats):
            if isinstance(batch, Exception):
                raise find_input_error(batch) or batch
            yield batch


def _with_error(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, and after them the error that ended them."""
    try:
        yield from batches
    except Exception as error:
        yield error
