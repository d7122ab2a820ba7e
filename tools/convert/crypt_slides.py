"""Which slides a folder holds, the unit that each belongs to, and its mask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.names import stem
from tools.convert.crypt_masks import Mask, find_masks, naming
from tools.formats.scene_slides import open_any_slide, size_of_pixels

__all__ = ["Slide", "check_masks", "find_slides"]

SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".mrxs", ".czi")


@dataclass(frozen=True)
class Slide:
    """A slide to convert.

    Attributes
    ----------
    path : Path
        The file.
    shape : tuple of int
        (Y, X, 3).
    unit : str
        What folds never split.
    pixel_size_um : float or None
        µm per pixel, where known.
    mask : Mask or None
        Its crypts, where there is a mask.
    """

    path: Path
    shape: tuple[int, int, int]
    unit: str
    pixel_size_um: float | None
    mask: Mask | None


def find_slides(source: Path, masks: Path | None, group: str, pixel_size: float | None) -> dict[str, Slide]:
    """Slides of a folder, with their masks, all headers checked.

    Parameters
    ----------
    source : Path
        Folder of slides.
    masks : Path, optional
        As for `find_masks`.
    group : str
        Regular expression whose first group is the unit of a slide; empty for the slide's own name.
    pixel_size : float, optional
        In µm; without it, what each file says.

    Returns
    -------
    dict of str to Slide
        By name without ending, sorted; some may lack a mask.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    InputError
        If there is no slide, one is not 8 bit RGB, or masks do not belong to slides.
    """
    paths = _find_files(source)
    found = find_masks(source, paths, masks)
    slides = {}
    for name, path in paths.items():
        with naming(), open_any_slide(path) as slide:
            size = pixel_size or size_of_pixels(slide)
            slides[name] = Slide(path, (*slide.shape[:2], 3), _unit(name, group), size, found.get(name))
        if name in found:
            found[name].check(slide.shape[:2])
    return slides


def check_masks(source: Path, slides: dict[str, Slide], tested: set[str]) -> None:
    """InputError where a slide that is not under testing has no mask."""
    for slide in slides.values():
        if slide.mask is None and slide.unit not in tested:
            raise InputError(
                f"{slide.path}: no mask, neither {source.name}.csv nor {stem(slide.path)}_mask.tif or .geojson; "
                f"add one, or put it under testing with --test {slide.unit}"
            )


def _find_files(source: Path) -> dict[str, Path]:
    """Slide files by the name that everything made from them gets."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder, expected one of slides, *.tiff or *.svs")
    paths = [path for path in sorted(source.glob("[!.]*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    slides: dict[str, Path] = {}
    for path in paths:
        name = stem(path)
        if name.endswith("_mask"):
            continue
        if name in slides:
            raise InputError(
                f"{path}: same name as {slides[name]}, so their results would overwrite each other; rename one"
            )
        slides[name] = path
    if not slides:
        raise InputError(f"{source}: no slide there, expected *.tif, *.tiff or *.svs right inside it; check the folder")
    return slides


def _unit(name: str, group: str) -> str:
    """The unit of a slide that folds never split."""
    if not group:
        return name
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise InputError(f"--group {group}: not a regular expression ({error}); such as '(B[0-9]+)'") from error
    if not pattern.groups:
        raise InputError(f"--group {group}: no group in brackets; such as '(B[0-9]+)'")
    match = pattern.search(name)
    if not match or not match[1]:
        raise InputError(f"--group {group}: nothing found in the name {name}; choose one that fits all slides")
    return match[1]
