"""Zeiss' CZI, put together from the blocks that its scenes are stored in; lower resolutions are passed over."""

import io
import math
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import czifile
import imagecodecs
import numpy as np
from PIL import Image

from common.errors import InputError
from common.reading.jpeg import check_jpeg
from common.reading.lzw import decode_lzw
from common.reading.units import length_um
from tools.formats.bounded import BoundedFile
from tools.formats.scenes import Scene, Spacing, Window

__all__ = ["open_czi"]

AXES = "SMTCZYX0"  # all others must have length 1; 0 is that of samples
KEPT_BYTES = 256 << 20  # of decoded blocks
JPEG, LZW, JPEG_XR = 1, 2, 4  # which czifile decodes without a look at them
XR_START, XR_HEADER_BYTES, XR_SHORT = b"WMPHOTO\0", 12, 0x80  # of each plane in JPEG XR: of colours, of alpha
RGB_OF_BGR = {3: [2, 1, 0], 4: [2, 1, 0, 3]}  # of as many samples; blue comes first, alpha last
ZSTD, ZSTD_WITH_HEADER = 5, 6  # compressions that czifile does not know


class _Block:
    """A stored block of pixels: a plane, or a tile of one."""

    def __init__(self, entry: czifile.czifile.DirectoryEntryDV) -> None:
        self.entry = entry
        self.start = dict(zip(entry.axes, entry.start, strict=True))
        self.shape = dict(zip(entry.axes, entry.shape, strict=True))

    def at(self, axis: str) -> int:
        return self.start.get(axis, 0)

    def pixels(self) -> np.ndarray:
        """Shape (Y, X, samples)."""
        segment = self.entry.data_segment()
        if self.entry.compression in (LZW, ZSTD, ZSTD_WITH_HEADER):
            pixels = self._unpacked(segment.data(raw=True))
        else:
            if self.entry.compression in (JPEG, JPEG_XR):
                self._check_packed(segment.data(raw=True))
            pixels = segment.data(resize=False)
        return pixels.reshape(self.shape["Y"], self.shape["X"], self.shape["0"])

    def _check_packed(self, data: bytes) -> None:
        """Refuse a picture that breaks off, or of another size than its block says, which could take any memory."""
        if self.entry.compression == JPEG:
            check_jpeg(data)
        for width, height in _xr_sizes(data) if self.entry.compression == JPEG_XR else [_jpeg_size(data)]:
            if (height, width) != (self.shape["Y"], self.shape["X"]):
                expected = f"{self.shape['Y']} x {self.shape['X']}"
                raise ValueError(f"a block of {expected} pixels with {height} x {width} in it")

    def _unpacked(self, data: bytes) -> np.ndarray:
        dtype, is_split = np.dtype(self.entry.dtype[-2:]), False
        if self.entry.compression == ZSTD_WITH_HEADER:
            header, data = data[: data[0]], data[data[0] :]
            is_split = len(header) == 3 and header[1] == 1 and bool(header[2] & 1)
        num_bytes = math.prod(self.entry.stored_shape) * dtype.itemsize
        unpack = decode_lzw if self.entry.compression == LZW else imagecodecs.zstd_decode
        values = np.frombuffer(unpack(data, out=num_bytes), np.uint8)
        if is_split:  # all low bytes stand before all high ones
            values = np.ascontiguousarray(values.reshape(2, -1).T)
        pixels = values.reshape(-1).view(dtype).reshape(self.entry.stored_shape)
        return pixels[..., RGB_OF_BGR[pixels.shape[-1]]] if pixels.shape[-1] in RGB_OF_BGR else pixels


def _jpeg_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
        return picture.size


def _xr_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height of all planes in a file of JPEG XR."""
    start = data.find(XR_START)
    while start >= 0:
        is_short = data[start + XR_HEADER_BYTES - 2] & XR_SHORT
        width, height = struct.unpack_from(">HH" if is_short else ">II", data, start + XR_HEADER_BYTES)
        yield width + 1, height + 1
        start = data.find(XR_START, start + 1)


@contextmanager
def open_czi(path: Path) -> Iterator[list[Scene]]:
    """The scenes of a CZI file, while the block runs."""
    with BoundedFile(path) as stream, czifile.CziFile(stream, multifile=False) as file:
        entries = [entry for entry in file.filtered_subblock_directory if entry.shape == entry.stored_shape]
        blocks = [_Block(entry) for entry in entries]
        for axis in sorted({axis for block in blocks for axis in block.start} - {*AXES}):
            if len({block.at(axis) for block in blocks}) > 1:
                raise InputError(f"{path}: several images along the axis {axis}, expected one; export one of them")
        metadata = ElementTree.fromstring(file.metadata())
        channels, spacing = _channel_names(metadata), _spacing(metadata)
        names = [element.get("Name", "") for element in metadata.iterfind(".//Dimensions/S/Scenes/Scene")]
        by_scene: dict[int, list[_Block]] = {}
        for block in blocks:
            by_scene.setdefault(block.at("S"), []).append(block)
        scenes = []
        for number, of_scene in sorted(by_scene.items()):
            first = min(block.at("C") for block in of_scene)
            sizes = _count_from_zero(of_scene) | {"S": of_scene[0].shape["0"]}
            own = channels[first:] if len(channels) >= first + sizes["C"] else channels
            name = names[number] if number < len(names) else ""
            scenes.append(Scene.in_parts(name, sizes, spacing, own, _dtype(of_scene), _window(of_scene)))
        yield scenes


def _count_from_zero(blocks: Sequence[_Block]) -> dict[str, int]:
    """Let all axes of a scene begin at 0, which a part that was exported does not; returns their lengths."""
    for axis in "TCZYX":
        first = min(block.at(axis) for block in blocks)
        for block in blocks:
            block.start[axis] = block.at(axis) - first
    return {axis: max(block.at(axis) + block.shape.get(axis, 1) for block in blocks) for axis in "TCZYX"}


def _dtype(blocks: Sequence[_Block]) -> np.dtype:
    return np.result_type(*{block.entry.dtype[-2:] for block in blocks})


def _window(blocks: Sequence[_Block]) -> Window:
    """Function that reads a part of a scene from the blocks under it; those that were used last are kept."""
    dtype, samples = _dtype(blocks), blocks[0].shape["0"]
    kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def decoded(number: int) -> np.ndarray:
        if number not in kept:
            kept[number] = blocks[number].pixels()
            while len(kept) > 1 and sum(pixels.nbytes for pixels in kept.values()) > KEPT_BYTES:
                kept.popitem(last=False)
        kept.move_to_end(number)
        return kept[number]

    def read(time: int, channel: int, where: tuple[slice, ...]) -> np.ndarray:
        first_z, first_y, first_x = (part.start for part in where)
        shape = (*(part.stop - part.start for part in where), samples)
        # between tiles a slide is white, as viewers show it; what fluoresces is dark
        pixels = np.full(shape, np.iinfo(dtype).max if samples > 1 and dtype.kind == "u" else 0, dtype)
        _, height, width, _ = pixels.shape
        lacking = set(range(first_z, first_z + len(pixels)))
        for number, block in enumerate(blocks):
            if block.at("T") != time or block.at("C") != channel:
                continue
            lacking.discard(block.at("Z"))
            z, y, x = block.at("Z") - first_z, block.at("Y") - first_y, block.at("X") - first_x
            bottom, right = min(y + block.shape["Y"], height), min(x + block.shape["X"], width)
            if 0 <= z < len(pixels) and max(y, 0) < bottom and max(x, 0) < right:
                part = decoded(number)[max(-y, 0) : bottom - y, max(-x, 0) : right - x]
                pixels[z, max(y, 0) : bottom, max(x, 0) : right] = part
        if lacking:
            raise ValueError(f"no pixels of time {time}, channel {channel}, slice {min(lacking)}")
        return pixels if samples > 1 else pixels[..., 0]

    return read


def _channel_names(metadata: ElementTree.Element) -> tuple[str, ...]:
    found = metadata.iterfind(".//Information/Image/Dimensions/Channels/Channel")
    return tuple(channel.get("Name", "") for channel in found)


def _spacing(metadata: ElementTree.Element) -> Spacing:
    metres = {
        element.get("Id"): element.findtext("Value") for element in metadata.iterfind(".//Scaling/Items/Distance")
    }
    z, y, x = (length_um(metres.get(axis), "m") for axis in "ZYX")
    return z, y, x
