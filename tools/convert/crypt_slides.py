"""Which slides a folder holds, the unit that each belongs to, and its mask."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError
from common.names import by_name, stem
from tools.convert.crypt_masks import Mask, find_masks
from tools.convert.dataset import find_unit
from tools.convert.naming import naming
from tools.formats.scene_slides import open_any_slide, size_of_pixels

__all__ = ["Slide", "check_masks", "find_slides"]

SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".mrxs", ".czi")


@dataclass(frozen=True)
class Slide:
    """A slide to convert: its shape is (Y, X, 3), its unit is what folds never split.

    The size of its pixels, in µm, and its mask may be unknown.
    """

    path: Path
    shape: tuple[int, int, int]
    unit: str
    pixel_size_um: float | None
    mask: Mask | None


def find_slides(source: Path, masks: Path | None, group: str, pixel_size: float | None) -> dict[str, Slide]:
    """Slides of a folder by name without ending, sorted, with their masks, all headers checked; some may lack a mask.

    ``masks`` is as for `find_masks`; the first group of the regular expression ``group`` is the unit of a slide, the
    slide's own name if it is empty; ``pixel_size`` in µm is that of all, not what each file says. FileNotFoundError or
    InputError if there is no such folder, no slide, one is not 8 bit RGB, or masks do not belong to slides.
    """
    paths = _find_files(source)
    found = find_masks(source, paths, masks)
    slides = {}
    for name, path in paths.items():
        with naming(), open_any_slide(path) as slide:
            size = pixel_size or size_of_pixels(slide)
            slides[name] = Slide(path, (*slide.shape[:2], 3), find_unit(name, group), size, found.get(name))
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
        raise FileNotFoundError(f"{source}: no such folder, expected one of slides ({', '.join(SUFFIXES)})")
    paths = [path for path in sorted(source.glob("[!.]*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    slides = by_name((stem(path), path) for path in paths if not stem(path).endswith("_mask"))
    if not slides:
        raise InputError(f"{source}: no slide there, expected {', '.join(SUFFIXES)} right inside it; check the folder")
    return slides
