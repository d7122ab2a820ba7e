"""RGB slides with masks of crypts to tiled TIFF files, label maps, patch indices and dataset.json."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from common.datalist import DATALIST, write_dataset
from common.files import replacing, write_text
from common.reading.slides import Slide as SlidePixels
from common.reading.windows import TiffWindows
from common.tables import format_table
from common.tiled_tiff import write_tiled
from tools.command_line import as_verb, at_least, listed, positive
from tools.convert.crypt_masks import Mask
from tools.convert.crypt_slides import Slide, check_masks, find_slides
from tools.convert.dataset import assign_folds, chosen_units, describe, warn_of_copies, writing_dataset
from tools.convert.naming import naming
from tools.convert.patches import PatchRules, index_patches
from tools.formats.scene_slides import SceneSlide, open_any_slide

__all__ = ["crypts"]

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


@as_verb(
    source=Path,
    destination=Path,
    masks=Path,
    folds=at_least(1),
    test=listed,
    pixel_size=positive,
    patch_size=at_least(1),
    stride=at_least(1),
    black_level=at_least(0),
    black_share=positive,
    white_level=at_least(0),
    white_share=positive,
)
def crypts(
    source: Path,
    destination: Path,
    *,
    masks: Path | None = None,
    group: str = "",
    folds: int = 5,
    test: Sequence[str] = (),
    pixel_size: float | None = None,
    patch_size: int = 512,
    stride: int = 256,
    black_level: int = 60,
    black_share: float = 0.30,
    white_level: int = 220,
    white_share: float = 0.65,
    name: str = "",
    licence: str = "unknown",
) -> dict[str, object]:
    """Convert RGB slides with masks of crypts to tiled TIFF, label maps, patch indices and dataset.json.

    Slides are read by rows of tiles; only a label map is in memory as a whole. All headers and run lengths are
    checked before anything is written; dataset.json comes last, so an interrupted run has none. A second run skips the
    files that are already there and whole. Labels are the connected components (8 neighbours) of the mask.

    Parameters
    ----------
    source : str
        Folder of slides: TIFF, OME-TIFF, SVS, NDPI, MRXS, SCN or CZI, 8 bit RGB; of a pyramid, level 0 is read.
    destination : str
        Folder to write images/, labels/, patches/ and dataset.json to.
    masks : str
        CSV of run lengths (columns id and rle or predicted; column-major, from 1), or folder of mask TIFF or GeoJSON
        files. Without it: SRC.csv beside SRC, a CSV in SRC, <slide>_mask.tif or <slide>.geojson in SRC. Of GeoJSON
        annotations with classes, only those of the class crypt are taken.
    group : str
        Regular expression whose first group, found in a slide's name, is the unit that folds never split, such as
        "(B[0-9]+)"; without it every slide is one.
    folds : int
        Number of folds, by that unit.
    test : sequence of str
        Units that go under testing, such as B004,B005, or all. Only their slides may lack a mask file.
    pixel_size : float
        Micrometres per pixel; without it, what the files say.
    patch_size, stride : int
        Of the patch index, in pixels.
    black_level, black_share : float
        Patches are dropped where this share of pixels has no channel above this level.
    white_level, white_share : float
        Patches are dropped where this share of pixels has no channel below this level.
    name, licence : str
        Texts for dataset.json; the name defaults to the source folder's.

    Returns
    -------
    dict of str to object
        What was converted: slides, labelled, crypts, patches, annotated, training, testing, folds, dataset.

    Raises
    ------
    FileNotFoundError
        If there is no source folder.
    InputError
        If a slide is not 8 bit RGB, slides and masks do not belong together or differ in size, run lengths or polygons
        are wrong, a name is unknown, or the destination cannot be written.
    """
    rules = PatchRules(patch_size, stride, black_level, black_share, white_level, white_share)
    slides = find_slides(source, masks, group, pixel_size)
    tested = chosen_units((slide.unit for slide in slides.values()), test, source, kind="slide")
    check_masks(source, slides, tested)
    warn_of_copies({slide.path: slide.unit for slide in slides.values()})
    fold_of = assign_folds({slide.unit for slide in slides.values()} - tested, folds)
    with writing_dataset(destination, ("images", "labels", "patches"), slides) as folder:
        datalist: dict[str, Any] = {
            "name": name or source.resolve().name,
            "licence": licence,
            "patch_size": rules.patch_size,
        }
        datalist |= {"training": [], "testing": []}
        num_crypts, indices = 0, []
        for stem, slide in tqdm(slides.items(), desc="convert crypts", unit="slide"):
            item, labels = _convert_slide(stem, slide, folder)
            indices.append(_write_patches(folder / item["patches"], folder / item["image"], labels, rules))
            num_crypts += 0 if labels is None else int(labels.max(initial=0))
            fold = {"fold": fold_of[slide.unit]} if slide.unit in fold_of else {}
            datalist["training" if fold else "testing"].append(item | fold)
        write_dataset(folder, **datalist)
    return {
        "slides": len(slides),
        "labelled": sum(slide.mask is not None for slide in slides.values()),
        "crypts": num_crypts,
        "patches": sum(map(len, indices)),
        "annotated": int(sum(index[:, 2].sum() for index in indices)),
        "training": len(datalist["training"]),
        "testing": len(datalist["testing"]),
        "folds": len(set(fold_of.values())),
        "dataset": destination / DATALIST,
    }


def _convert_slide(stem: str, slide: Slide, destination: Path) -> tuple[dict[str, Any], np.ndarray | None]:
    """Write image and labels that are not whole yet; return the datalist item and the labels."""
    item: dict[str, Any] = {"image": f"images/{stem}.tiff"}
    _write_image(destination / item["image"], slide)
    labels = None
    if slide.mask is not None:
        item["label"] = f"labels/{stem}.tiff"
        labels = _write_labels(destination / item["label"], slide, slide.mask)
    item |= {"patches": f"patches/{stem}.csv", "slide": slide.unit}
    if slide.pixel_size_um is not None:
        item["pixel_size_um"] = slide.pixel_size_um
    return item, labels


def _write_image(path: Path, slide: Slide) -> None:
    """Copy a slide's pixels, unless that is done."""
    description = f"{describe([slide.path])} {slide.pixel_size_um}"
    if _is_whole(path, slide.shape, description=description):
        return
    with naming(), open_any_slide(slide.path) as pixels:
        rows, size = _rows_of(pixels), slide.pixel_size_um
        with replacing(path) as partial:
            write_tiled(partial, rows, slide.shape, np.uint8, description=description, pixel_size_um=size)


def _write_labels(path: Path, slide: Slide, mask: Mask) -> np.ndarray:
    """Labels of a slide; written, unless that is done."""
    shape = slide.shape[:2]
    description = f"{mask.description} {slide.pixel_size_um}"
    if _is_whole(path, shape, description=description):
        with naming(), TiffWindows(path) as image:
            return image.read(0, 0, *shape)
    labels = np.empty(shape, np.int32)
    highest = ndimage.label(mask.read(shape), EIGHT_NEIGHBOURS, output=labels)
    dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.int32
    size = slide.pixel_size_um
    with replacing(path) as partial:
        write_tiled(partial, lambda a, b: labels[a:b], shape, dtype, description=description, pixel_size_um=size)
    return labels


def _is_whole(path: Path, shape: tuple[int, ...], *, description: str) -> bool:
    """Whether an earlier run has finished writing this very image; no pixel is decoded."""
    try:
        with TiffWindows(path) as image:
            return image.shape == tuple(shape) and image.description == description
    except (ValueError, OSError):
        return False


def _write_patches(path: Path, image: Path, labels: np.ndarray | None, rules: PatchRules) -> np.ndarray:
    """Write the patch index of a slide, unless it is there as it should be; return it."""
    with naming(), TiffWindows(image) as pixels:
        index = index_patches(_rows_of(pixels), pixels.shape[:2], labels, rules)
    text = format_table(("y", "x", "annotated"), index.tolist())
    if not path.is_file() or path.read_text() != text:
        write_text(path, text)
    return index


def _rows_of(image: SlidePixels | SceneSlide) -> Callable[[int, int], np.ndarray]:
    """Function that reads whole rows, from the first to the one behind the last."""
    return lambda top, bottom: image.read(top, 0, bottom - top, image.shape[1])
