"""Label images as result folders of the Cell Tracking Challenge, with the table of tracks that its measures need."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import write_text
from tools.formats.labels import MAX_LABEL, as_uint16, write_labels

__all__ = ["SequenceWriter", "group_frames", "write_sequence"]

TRACKS = "res_track.txt"


def group_frames(stems: Iterable[str]) -> dict[str, dict[int, str]]:
    """Sequences of images, by the numbers that their names without ending end with, such as ``a_t000``, ``b_t000``.

    ``01``, ``02``, ... for the beginnings of the names in their order -> frame -> name. InputError if a name does not
    end in a number, or two in the same one.
    """
    found: dict[str, dict[int, str]] = {}
    for stem in sorted(stems):
        match = re.fullmatch(r"(.*?)(\d+)", stem)
        if not match:
            raise InputError(f"{stem}: ends in no number; --save ctc takes frames of sequences, such as t000, t001")
        frames = found.setdefault(match[1], {})
        if int(match[2]) in frames:
            raise InputError(f"{stem}: the same frame as {frames[int(match[2])]}; rename one")
        frames[int(match[2])] = stem
    return {f"{number:02d}": frames for number, frames in enumerate(found.values(), start=1)}


class SequenceWriter:
    """Writes labels of the frames of a sequence, one after another, and then the table of tracks.

    Objects are not followed: a number that comes again in the next frame is taken for the same object, as the format
    has it. One that was missing in between is another object, since the challenge takes no track with gaps: it gets the
    next number that no object has.

    Parameters
    ----------
    folder : Path
        Such as ``01_RES``; it is created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frames: dict[int, list[int]] = {}
        self._before: dict[int, int] = {}
        self._used: set[int] = set()
        self._highest = 0

    def write(self, name: str, frame: int, labels: np.ndarray, source: Path | None = None) -> int:
        """Write labels (Y, X) or (Z, Y, X) of the next frame to a file in the folder; number of objects.

        InputError if they are no labels, more than 16 bits hold, or cannot be written; it names ``source``. ValueError
        if the frame does not come after those before.
        """
        if frame <= max(self._frames, default=-1):
            raise ValueError(f"{name}: frame {frame} after {max(self._frames)}; write frames in their order")
        path = self.folder / name
        labels = as_uint16(source or path, labels)
        own = (np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:]) + 1).tolist()
        self._highest = max([self._highest, *own])
        numbers = {label: self._before.get(label) or self._number(source or path, label) for label in own}
        if own != (new := list(numbers.values())):
            table = np.zeros(MAX_LABEL + 1, np.uint16)
            table[own] = new
            labels = table[labels]
        write_labels(path, labels)
        self._frames[frame], self._before = new, numbers
        return len(own)

    def finish(self) -> Path:
        """Write ``res_track.txt``: of every number the frames in which it is; none has a parent."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for frame in sorted(self._frames):
            for number in self._frames[frame]:
                first.setdefault(number, frame)
                last[number] = frame
        path = self.folder / TRACKS
        lines = [f"{number} {first[number]} {last[number]} 0\n" for number in sorted(first)]
        try:
            write_text(path, "".join(lines))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
        return path

    def _number(self, path: Path, label: int) -> int:
        """That of an object which the frame before does not have."""
        if label not in self._used:
            self._used.add(label)
            return label
        if self._highest == MAX_LABEL:
            raise InputError(f"{path}: more than {MAX_LABEL} objects in its sequence; split the sequence")
        self._highest += 1
        self._used.add(self._highest)
        return self._highest


def write_sequence(folder: Path, frames: Mapping[int, Callable[[], np.ndarray]]) -> None:
    """Write labels of the frames of a sequence with `SequenceWriter`; one frame is in memory at a time."""
    digits, writer = max(3, len(str(max(frames)))), SequenceWriter(folder)
    for frame, read in sorted(frames.items()):
        writer.write(f"mask{frame:0{digits}d}.tif", frame, read())
    writer.finish()
