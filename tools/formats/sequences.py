"""Label images as result folders of the Cell Tracking Challenge, with the table of tracks that its measures need."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import write_text
from tools.formats.labels import as_uint16, write_labels

__all__ = ["group_frames", "write_sequence", "write_tracks"]

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


def write_sequence(folder: Path, frames: Mapping[int, Callable[[], np.ndarray]]) -> None:
    """Write labels of the frames of a sequence, (Y, X) or (Z, Y, X), and its tracks; one frame is in memory at a time.

    The folder, such as ``01_RES``, is created.
    """
    digits = max(3, len(str(max(frames))))
    found = {}
    for frame, read in sorted(frames.items()):
        path = folder / f"mask{frame:0{digits}d}.tif"
        labels = as_uint16(path, read())
        write_labels(path, labels)
        found[frame] = np.flatnonzero(np.bincount(labels.ravel(), minlength=1)[1:]) + 1
    write_tracks(folder, found)


def write_tracks(folder: Path, frames: Mapping[int, Sequence[int] | np.ndarray]) -> Path:
    """Write ``res_track.txt``: of every label the frames in which it is; no label has a parent.

    Objects are not followed: a number that comes again in the next frame is taken for the same object, as the format
    has it. One that is missing in between is reported with its first and last frame.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for frame in sorted(frames):
        for label in map(int, frames[frame]):
            first.setdefault(label, frame)
            last[label] = frame
    path = folder / TRACKS
    lines = [f"{label} {first[label]} {last[label]} 0\n" for label in sorted(first)]
    try:
        write_text(path, "".join(lines))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    return path
