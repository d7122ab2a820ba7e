"""Opening and checking TIFF files: damaged ones are refused with a message, before a pixel is decoded."""

import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import tifffile

from ..errors import InputError, one_line
from . import jpeg  # noqa: F401  by which tifffile decodes
from .formats import find_foreign
from .lzw import decode_lzw
from .ome_text import check_ome, names_other_files
from .turns import check_turns

__all__ = [
    "FREE_BYTES",
    "LARGEST_RATIO",
    "blaming",
    "check_chain",
    "check_completeness",
    "check_page",
    "follow_chain",
    "keyframe_of",
    "open_tiff",
    "tile_shape",
    "without_additions",
]

LZW, UNCOMPRESSED, DEFLATE = 5, 1, (8, 32946)
FREE_BYTES = 64 << 20  # a claim up to here costs nothing worth a check
# how many times its bytes a compressed image can be: of deflate that is known, the others get far more
LARGEST_RATIO, LARGEST_DEFLATE_RATIO = 40_000, 1_040
ORIENTATION, UPRIGHT, TURNED = 274, 1, range(2, 9)  # a tag, and its values; programs pass over all others
SUBFILE, REDUCED = 254, 1  # a tag, and its bit for a smaller picture of another page
INTEGERS = {1: 1, 3: 2, 4: 4}  # kinds of tags that are whole numbers, and their bytes
MAX_TAGS = 4096  # of a page that are looked at
MAX_PAGES = 100_000
ADDITIONS = r"thumb|label|macro|overview"
LARGEST_ADDITION = 16  # what is less than this part of the largest image is an addition, unless OME names a gray one
tifffile.TIFF.DECOMPRESSORS._codecs[LZW] = decode_lzw  # type: ignore[attr-defined]  # a mapping without a way to add
MOST_BITS = 64  # of a sample
ALONE: dict[str, Any] = {"_multifile": False, "is_mmstack": False}  # which would read other files all the same
_follow_bits = tifffile.TiffTag._fix_lsm_bitspersample


def _fix_bits(tag: tifffile.TiffTag) -> None:
    """The bits of both samples of an LSM of two channels, which only old ones keep elsewhere, as tifffile expects."""
    if tag.count == 2 and max(tag.value) > MOST_BITS:
        _follow_bits(tag)


tifffile.TiffTag._fix_lsm_bitspersample = _fix_bits  # type: ignore[assignment, method-assign]


@contextmanager
def blaming(path: str | PathLike[str], what: str = "cannot be read as TIFF") -> Iterator[None]:
    """Turn whatever tifffile raises into an InputError that names the file; a damaged one makes it raise anything."""
    try:
        yield
    except (FileNotFoundError, InputError):
        raise
    except Exception as error:
        if foreign := find_foreign(path):
            raise InputError(f"{path}: {foreign}") from error
        raise InputError(f"{path}: {what} ({one_line(error)}); it may be damaged, copy or export it again") from error


def open_tiff(path: str | PathLike[str]) -> tifffile.TiffFile:
    """A TIFF file alone, never others that its metadata names.

    FileNotFoundError if there is no file. InputError if it is no TIFF.
    """
    with blaming(path):
        follow_chain(path)
        tiff = tifffile.TiffFile(path, **ALONE)
        if len(tiff.pages) and tiff.pages.first.is_scanimage and not tiff.is_bigtiff:
            tiff.close()
            tiff = tifffile.TiffFile(path, **ALONE, is_scanimage=False)  # else without its last page
    try:
        with blaming(path):
            tiff.pages.cache = True  # pages are parsed once however often they are looked at
            check_ome(path, tiff)
    except BaseException:
        tiff.close()
        raise
    return tiff


def follow_chain(path: str | PathLike[str]) -> None:
    """Follow the list of a TIFF file's pages to its end, or to where the file ends; nothing else of it is read.

    InputError if it comes back to a page, so that who reads it would never be done, or is longer than any
    microscope's; if a page that is no smaller picture of another one is to be turned.
    """
    with Path(path).open("rb") as file:
        start = file.read(16).ljust(16, b"\0")
        order, is_big = "<" if start[:2] == b"II" else ">", 43 in start[2:4]
        count_as, next_as, entry_as = ("Q", "Q", "HHQ8s") if is_big else ("H", "I", "HHI4s")
        entry_bytes = struct.calcsize(order + entry_as)
        offset = struct.unpack_from(order + next_as, start, 8 if is_big else 4)[0]
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise InputError(f"{path}: its page {len(seen) + 1} is an earlier one again; copy or export it again")
            if len(seen) == MAX_PAGES:
                raise InputError(f"{path}: more than {MAX_PAGES} pages; copy or export it again")
            seen.add(offset)
            file.seek(offset)
            count = _number(file, order + count_as)
            if count is None:
                return
            after = file.tell() + count * entry_bytes
            entries = file.read(min(count, MAX_TAGS) * entry_bytes)
            tags = {
                tag: int.from_bytes(value[: INTEGERS.get(kind, 0)], _BYTE_ORDERS[order])
                for tag, kind, _, value in struct.iter_unpack(
                    order + entry_as, entries[: len(entries) // entry_bytes * entry_bytes]
                )
            }
            if not tags.get(SUBFILE, 0) & REDUCED:
                _check_upright(path, tags.get(ORIENTATION, UPRIGHT))
            file.seek(after)
            offset = _number(file, order + next_as)


def check_page(
    path: str | PathLike[str], tiff: tifffile.TiffFile, page: tifffile.TiffPage | tifffile.TiffFrame
) -> None:
    """Refuse a page that ends before its pixels do, that claims more than its bytes can hold, or that is to be turned.

    Some programs turn an image by its orientation tag, as Pillow does, others show it as it is stored, as Fiji, QuPath
    and napari do: nobody knows which of them somebody drew its truth in, or will look at its result in.

    Raises
    ------
    InputError
    """
    keyframe = keyframe_of(page)
    if keyframe.dtype is None or not keyframe.shape or math.prod(keyframe.shape) == 0:
        raise InputError(
            f"{path}: {keyframe.shape} pixels of {keyframe.bitspersample} bits, expected an image; it may be damaged, "
            "copy or export it again"
        )
    _check_upright(path, keyframe.tags.valueof(ORIENTATION, UPRIGHT))
    starts, counts = page.dataoffsets, page.databytecounts
    expected = _num_segments(keyframe)
    if min(len(starts), len(counts)) != expected:
        raise InputError(
            f"{path}: {min(len(starts), len(counts))} tiles or strips, expected {expected}; copy or export it again"
        )
    claimed, size = keyframe.nbytes, tiff.filehandle.size
    needed = max((start + count for start, count in zip(starts, counts, strict=True) if count), default=0)
    if keyframe.is_contiguous:
        needed = max(needed, starts[0] + claimed)
    if needed > size:
        raise InputError(f"{path}: truncated, {size} bytes found, pixels reach to byte {needed}; copy it again")
    stored = sum(counts)
    ratio = 1 if keyframe.compression == UNCOMPRESSED else LARGEST_RATIO
    ratio = LARGEST_DEFLATE_RATIO if keyframe.compression in DEFLATE else ratio
    if claimed > FREE_BYTES + ratio * stored and not keyframe.is_contiguous:
        raise InputError(f"{path}: says that {stored} bytes are {claimed} bytes of pixels; copy or export it again")


def keyframe_of(page: tifffile.TiffPage | tifffile.TiffFrame) -> tifffile.TiffPage:
    """The page that says what the pixels of a page mean: itself, unless it is one of many alike."""
    return cast(tifffile.TiffPage, page.keyframe)  # None only while tifffile parses the page


def check_chain(path: str | PathLike[str], tiff: tifffile.TiffFile) -> None:
    """Refuse a file whose chain of pages breaks off, or leads back to a page that was there before."""
    with blaming(path):
        handle, layout, pages = tiff.filehandle, tiff.tiff, tiff.pages
        _ = tiff.series  # before the last page is parsed by itself, which makes series of lower levels fail
        handle.seek(pages[len(pages) - 1].offset)
        num_tags = int.from_bytes(handle.read(layout.tagnosize), _BYTE_ORDERS[tiff.byteorder])
        handle.seek(num_tags * layout.tagsize, 1)
        after = int.from_bytes(handle.read(layout.offsetsize), _BYTE_ORDERS[tiff.byteorder])
    if after:
        raise InputError(f"{path}: truncated after {len(pages)} pages, more are announced; copy it again")


def check_completeness(path: str | PathLike[str], tiff: tifffile.TiffFile, num_planes: int) -> None:
    """Refuse a file whose metadata announce more planes than there are, or fewer.

    Parameters
    ----------
    path : path
        For the message.
    tiff : tifffile.TiffFile
        One file of an OME set may lack the planes of the others.
    num_planes : int
        That its images have, together, without additions.

    Raises
    ------
    InputError
    """
    check_turns(path, tiff)
    announced = num_planes
    if tiff.is_imagej and tiff.pages.first.samplesperpixel == 1:
        told: dict[str, Any] = tiff.imagej_metadata or {}
        announced = math.prod(max(1, int(told.get(name, 1))) for name in ("channels", "slices", "frames"))
    if announced > num_planes:
        raise InputError(
            f"{path}: truncated, {num_planes} planes found, its description announces {announced}; copy it again"
        )
    if tiff.is_ome:
        pages = [page for one in tiff.series if one.dataoffset is None for page in one.pages]
        if None in pages and not names_other_files(tiff):
            lacking = pages.count(None)
            raise InputError(
                f"{path}: truncated, its description announces {lacking} planes more than it has; copy it again"
            )
    if len(tiff.pages) == num_planes:
        return
    named = {page.offset for one in tiff.series for level in one.levels for page in level.pages if page is not None}
    if len(tiff.pages) == len(named):
        return
    unnamed = [page.aspage() for page in tiff.pages if page.offset not in named]
    num_unnamed = sum(not (page.is_reduced or page.is_mask) for page in unnamed)
    if num_unnamed:
        raise InputError(
            f"{path}: {len(tiff.pages)} pages, but its description leaves out {num_unnamed} of them; export it again"
        )


def without_additions(series: Sequence[tifffile.TiffPageSeries]) -> list[tifffile.TiffPageSeries]:
    """Images of a file without the thumbnail, the label and the overview that scanners add to theirs."""
    full = [one for one in series if not _is_reduced(one)]
    series = full or series
    largest = max(math.prod(one.shape) for one in series) if series else 0
    return [
        one
        for one in series
        if math.prod(one.shape) == largest
        or (
            not re.search(ADDITIONS, one.name, re.IGNORECASE)
            and (math.prod(one.shape) * LARGEST_ADDITION > largest or _is_field(one))
        )
    ]


def tile_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of a tile, or of a strip."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return max(1, min(page.rowsperstrip, page.imagelength)), page.imagewidth


def _is_reduced(series: tifffile.TiffPageSeries) -> bool:
    """Whether it says of itself that it is another image made smaller, as LSM has one of every plane."""
    first = next((page for page in series.pages if page is not None), None)
    return first is not None and keyframe_of(first).is_reduced


def _is_field(series: tifffile.TiffPageSeries) -> bool:
    """Whether it is an image of its own however small: gray, as no scanner's additions are, and named in OME."""
    return series.kind == "ome" and bool(series.name) and "S" not in series.axes


_BYTE_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}


def _check_upright(path: str | PathLike[str], orientation: int) -> None:
    if orientation in TURNED:
        raise InputError(
            f"{path}: to be turned by its header (orientation {orientation}), which some programs do and others, such "
            "as Fiji, do not; turn it upright and save it without that tag"
        )


def _number(file: BinaryIO, form: str) -> int | None:
    """The next number; None where the file ends."""
    content = file.read(struct.calcsize(form))
    return struct.unpack(form, content)[0] if len(content) == struct.calcsize(form) else None


def _num_segments(page: tifffile.TiffPage) -> int:
    height, width = tile_shape(page)
    planes = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    depth = -(-page.imagedepth // max(page.tiledepth, 1)) if page.is_tiled else page.imagedepth
    return planes * depth * -(-page.imagelength // max(height, 1)) * -(-page.imagewidth // max(width, 1))
