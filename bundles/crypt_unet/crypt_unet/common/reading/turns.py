"""Pages of several channels, positions or time points in turn, which only a maker's own text tells from slices."""

import math
import re
from os import PathLike
from typing import Any

import tifffile

from ..errors import InputError

__all__ = ["check_turns"]

MICRO_MANAGER = 51123  # a tag
INDICES = ("ChannelIndex", "PositionIndex", "FrameIndex")
UNNAMED = {*"IQ"}  # axes of pages
# of ScanImage's settings; of channels a list or their number
CHANNELS = re.compile(r"(?:hannels?Save ?= ?\[([^\]]+)\]|numberOfChannelsSave=(\d+))")
SLICES = re.compile(r"(?:numSlices|stackNumSlices|numberOfZSlices) ?= ?(\d+)")


def check_turns(path: str | PathLike[str], tiff: tifffile.TiffFile) -> None:
    """Refuse pages that are not all slices of one volume, by Micro-Manager or ScanImage, where nothing names the axes.

    Raises
    ------
    InputError
    """
    axes = "".join(one.axes for one in tiff.series)
    page, num_pages = tiff.pages.first, len(tiff.pages)
    if num_pages == 1:
        return
    if page.is_scanimage:
        text = f"{page.software}\n{page.description}"
        told = CHANNELS.search(text)
        num_channels = 1 if told is None else int(told[2] or len(re.findall(r"\d+", told[1])))
        slices = [int(found) for found in SLICES.findall(text)]
        if (num_channels > 1 and "C" not in axes) or num_channels * math.prod(slices[:1]) != num_pages:
            raise _refusal(path, num_pages, f"by ScanImage {num_channels} channels of {(slices or [1])[0]} slices")
    elif UNNAMED & {*axes} and page.is_micromanager:
        first, last = (_place(tiff.pages[number].aspage()) for number in (0, num_pages - 1))
        if first != last:
            raise _refusal(path, num_pages, f"by Micro-Manager from {first} to {last}")


def _place(page: tifffile.TiffPage) -> dict[str, Any]:
    """Where a page of Micro-Manager's is, but for its slice."""
    told = page.tags.valueof(MICRO_MANAGER)
    told = told if isinstance(told, dict) else {}
    axes = told.get("Axes") or {name: told[name] for name in INDICES if name in told}
    return {name: axes[name] for name in sorted(axes) if name != "z"}


def _refusal(path: str | PathLike[str], num_pages: int, found: str) -> InputError:
    return InputError(
        f"{path}: {num_pages} pages, {found}, expected the slices of one volume; open it where it was taken, or with "
        "Fiji, and save each channel and time point as OME-TIFF"
    )
