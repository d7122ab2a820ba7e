"""Files whose readers believe any number of bytes that the files announce."""

import io
import os
from pathlib import Path

__all__ = ["BoundedFile"]


class BoundedFile(io.BufferedReader):
    """A file that never gives, or reserves memory for, more bytes than it has."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._num_bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._num_bytes - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))
