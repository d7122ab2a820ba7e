"""Nikon's ND2, frame by frame."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nd2
import numpy as np

from common.errors import InputError
from tools.formats.bounded import BoundedFile
from tools.formats.scenes import Scene, Spacing

__all__ = ["open_nd2"]


@contextmanager
def open_nd2(path: Path) -> Iterator[list[Scene]]:
    """The positions of an ND2 file, while the block runs."""
    with BoundedFile(path) as stream, nd2.ND2File(stream) as file:
        sizes = dict(file.sizes)
        other = [axis for axis in sizes if axis not in "PTZCYXS"]
        if other:
            raise InputError(
                f"{path}: an axis {other[0]} of {sizes[other[0]]}, expected P, T, C, Z, Y and X; export it"
            )
        channels = tuple(channel.channel.name for channel in file.metadata.channels or [])
        spacing = _spacing(file)
        of_scene = {axis: length for axis, length in sizes.items() if axis != "P"}
        names = [
            point.name or "" for loop in file.experiment if loop.type == "XYPosLoop" for point in loop.parameters.points
        ]
        yield [
            Scene(
                names[position] if position < len(names) else "",
                of_scene,
                spacing,
                channels,
                np.dtype(file.dtype),
                _loader(path, file, position),
            )
            for position in range(sizes.get("P", 1))
        ]


def _loader(path: Path, file: nd2.ND2File, position: int) -> Callable[[int, int], np.ndarray]:
    sizes = dict(file.sizes)
    frame = [sizes.get("C", 1), sizes["Y"], sizes["X"], *([sizes["S"]] if sizes.get("S", 1) > 1 else [])]

    def load(time: int, channel: int) -> np.ndarray:
        numbers = [
            number
            for number, at in enumerate(file.loop_indices or ({},))
            if at.get("P", 0) == position and at.get("T", 0) == time
        ]
        _check_frames(path, file, numbers)
        return np.stack([file.read_frame(number).reshape(frame)[channel] for number in numbers])

    return load


def _check_frames(path: Path, file: nd2.ND2File, numbers: Sequence[int]) -> None:
    """Refuse frames that are not there, which nd2 gives as black ones."""
    places = getattr(file._rdr, "_frame_offsets", None)
    if places is None:  # of the old format, whose frames are no list
        return
    num_bytes = math.prod(file.sizes.get(axis, 1) for axis in "CYXS") * np.dtype(file.dtype).itemsize
    is_packed = file.attributes.compressionType == "lossless"
    for number in numbers:
        if number not in places or (not is_packed and places[number] + num_bytes > path.stat().st_size):
            raise InputError(f"{path}: frame {number} is missing or cut off; copy it again, or export what there is")


def _spacing(file: nd2.ND2File) -> Spacing:
    """What was calibrated; of other axes the file says 1."""
    channels = file.metadata.channels or []
    if not channels:
        return None, None, None
    volume = channels[0].volume
    x, y, z = (
        float(size) if known and size > 0 else None
        for size, known in zip(volume.axesCalibration, volume.axesCalibrated, strict=True)
    )
    return z, y, x
