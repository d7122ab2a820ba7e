"""Preparing batches in a thread while the network works on the one before."""

from collections.abc import Iterable, Iterator
from typing import Any

from monai.data import DataLoader, ThreadDataLoader
from monai.data.thread_buffer import buffer_iterator

from ..errors import find_input_error

__all__ = ["PrefetchingLoader"]


class PrefetchingLoader(ThreadDataLoader):
    """MONAI's `ThreadDataLoader`, which loads batches in a thread, and raises here what goes wrong there.

    MONAI's own takes the end of the thread for the end of the epoch, so an image that cannot be read would shorten
    every epoch in silence.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # MONAI's own is a generator too
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
