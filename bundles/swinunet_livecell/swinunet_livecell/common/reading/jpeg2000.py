"""JPEG 2000: JP2 files and bare codestreams, of gray values or red, green and blue."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError

__all__ = ["Jpeg2000Header", "check_jpeg2000", "decode_jpeg2000", "rounds"]

CODESTREAM = b"\xff\x4f\xff\x51"
MAX_BOXES = 1000
MAX_SAMPLES = 4
MAX_BITS = 16
SRGB, GRAY, BY_NUMBER = 16, 17, 1
FREE_PX, LARGEST_RATIO = 64 << 20, 8 * 1040  # as of PNG: claims up to here cost nothing worth a check
STYLE, WAVELET = b"\xff\x52", 13  # marker of how it is coded, and the byte from there that is 0 where it rounds
HEAD_BYTES = 1 << 16  # among which this is
TILE_BYTES = 14  # that each has in the file, at least


@dataclass(frozen=True)
class Jpeg2000Header:
    """What a file says about its pixels, of `samples` values with `bits` each."""

    height: int
    width: int
    samples: int
    bits: int


def check_jpeg2000(path: str | PathLike[str]) -> Jpeg2000Header:
    """Header of a JPEG 2000 file that holds one image of gray values, or of red, green and blue.

    InputError if it holds several images, other colours, signed numbers or samples of different sizes, is damaged, or
    claims more pixels than its bytes can hold.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            at = 0 if file.read(4) == CODESTREAM else _find_codestream(path, file)
            file.seek(at + 4)
            return _header(path, file)
    except struct.error as error:
        raise InputError(f"{path}: truncated, its header breaks off; copy it again") from error


def decode_jpeg2000(path: str | PathLike[str]) -> np.ndarray:
    """Pixels (Y, X) or (Y, X, samples) as they are stored, one bit as bool; InputError as `check_jpeg2000`."""
    header = check_jpeg2000(path)
    try:
        import imagecodecs
    except ImportError as error:
        raise InputError(f"{path}: reading JPEG 2000 needs a package: pip install imagecodecs") from error
    pixels = imagecodecs.jpeg2k_decode(Path(path).read_bytes())
    expected = (header.height, header.width, header.samples)[: 2 if header.samples == 1 else 3]
    if pixels.shape != expected:
        raise InputError(f"{path}: pixels {pixels.shape}, expected {expected} by its header; copy or export it again")
    return pixels.astype(bool) if header.bits == 1 else pixels


def rounds(file: BinaryIO, start: int = 0) -> bool:
    """Whether the JPEG 2000 that begins there in a file is of the wavelet that does not give back what it was given."""
    file.seek(start)
    head = file.read(HEAD_BYTES)
    style = head.find(STYLE, max(head.find(CODESTREAM), 0))
    return style >= 0 and head[style + WAVELET : style + WAVELET + 1] == b"\0"


def _find_codestream(path: Path, file: BinaryIO) -> int:
    """Where the only image of a JP2 file begins."""
    size, found = path.stat().st_size, []
    for kind, start, end in _boxes(path, file, 0, size):
        if kind == b"jp2c":
            found.append(start)
        elif kind == b"jp2h":
            for inner, inner_start, _ in _boxes(path, file, start, end):
                _check_colours(path, file, inner, inner_start)
    if len(found) != 1:
        raise InputError(f"{path}: {len(found)} images in one file, expected one; export each as a file of its own")
    return found[0]


def _boxes(path: Path, file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each box in a part of a file, and where its content starts and ends."""
    for _ in range(MAX_BOXES):
        if start >= end:
            return
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        after = end if length == 0 else start + length
        if not start + head <= after <= end:
            raise InputError(f"{path}: truncated, one of its parts reaches behind its end; copy it again")
        yield kind, start + head, after
        start = after
    raise InputError(f"{path}: more than {MAX_BOXES} parts; export it again")


def _check_colours(path: Path, file: BinaryIO, kind: bytes, start: int) -> None:
    if kind == b"pclr":
        raise InputError(f"{path}: a palette, expected gray or RGB; export it without")
    file.seek(start)
    if kind == b"colr":
        method, _, _, colours = struct.unpack(">BBBI", file.read(7))
        if method == BY_NUMBER and colours not in (SRGB, GRAY):
            raise InputError(f"{path}: colours of kind {colours}, expected gray or RGB; convert it to RGB")


def _header(path: Path, file: BinaryIO) -> Jpeg2000Header:
    """What stands behind the first mark of a codestream."""
    _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, samples = struct.unpack(
        ">HHIIIIIIIIH", file.read(38)
    )
    height, width = bottom - top, right - left
    if min(height, width, samples, tile_width, tile_height) < 1 or samples > MAX_SAMPLES:
        raise InputError(f"{path}: {height} x {width} pixels of {samples} samples, expected gray or RGB; export it so")
    kinds = {struct.unpack(">BBB", file.read(3)) for _ in range(samples)}
    if len(kinds) > 1 or {steps for _, *steps in map(list, kinds) for steps in steps} != {1}:
        raise InputError(f"{path}: samples of different sizes or types; export it as gray or RGB")
    is_signed, bits = divmod(kinds.pop()[0], 128)
    bits += 1
    if is_signed or bits > MAX_BITS:
        found = f"{'signed ' if is_signed else ''}numbers of {bits} bits"
        raise InputError(f"{path}: {found}, expected unsigned ones of up to {MAX_BITS}; export 8 or 16 bit gray")
    size = path.stat().st_size
    if height * width > FREE_PX + LARGEST_RATIO * size:
        raise InputError(f"{path}: says that {size} bytes are {height * width} pixels; copy or export it again")
    num_tiles = math.prod(
        math.ceil((last - first) / step)
        for last, first, step in ((right, tile_left, tile_width), (bottom, tile_top, tile_height))
    )
    if num_tiles * TILE_BYTES > size:
        raise InputError(f"{path}: says that {size} bytes are {num_tiles} tiles; copy or export it again")
    return Jpeg2000Header(height, width, samples, bits)
