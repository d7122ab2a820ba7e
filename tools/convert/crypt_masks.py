"""Which mask belongs to which slide, whether run lengths, a TIFF or polygons, and the mask itself."""

import csv
import logging
import sys
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.labels.run_lengths import decode_rle, parse_rle
from common.names import stem as stem_of
from common.reading.tiff import read_header, read_volume
from common.tables import from_cell
from tools.convert.dataset import describe
from tools.convert.geojson import choose_features, find_polygons, rasterise, read_geojson
from tools.convert.naming import naming

__all__ = ["Mask", "find_masks"]

logger = logging.getLogger(__name__)

Shape = tuple[int, int]
RLE_COLUMNS = ("rle", "encoding", "predicted", "encodedpixels", "expected", "annotation", "mask")
TIFF_SUFFIXES = (".tif", ".tiff")
OTHERS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
MEANT = "crypt"  # what the class of its annotations is called, in capitals or not, in one number or the other


@dataclass(frozen=True)
class Mask:
    """The mask of one slide, not yet read.

    ``check`` and ``read`` take the slide's shape (Y, X): the first raises InputError if the mask cannot be its own, the
    second returns it, bool (Y, X). ``description`` changes when the source does.
    """

    description: str
    check: Callable[[Shape], object]
    read: Callable[[Shape], np.ndarray]


def find_masks(source: Path, stems: Collection[str], masks: Path | None = None) -> dict[str, Mask]:
    """Masks of the slides in a folder, by name of the slide.

    Parameters
    ----------
    source : Path
        Folder of the slides.
    stems : collection of str
        Their names without ending.
    masks : Path, optional
        A CSV of run lengths, or a folder of mask TIFF and GeoJSON files. Without one, the first there is of: a CSV
        named as the folder and beside it, a CSV in the folder, ``<stem>_mask.tif[f]`` and ``<stem>.geojson`` in it;
        ``<stem>_crypts.geojson``, as inference writes it, will do as well.

    Raises
    ------
    InputError
        If the masks cannot be read, have no slide, or, with a CSV, a slide has no row; of files, some may be missing.
    """
    if masks is not None and not masks.exists():
        raise InputError(f"{masks}: no such file or folder; give a CSV of run lengths or a folder of masks")
    table = masks if masks is not None and masks.is_file() else None if masks is not None else _find_csv(source)
    return _masks_of_csv(table, source, stems) if table else _masks_of_files(masks or source, source, stems)


def _find_csv(source: Path) -> Path | None:
    """The CSV that belongs to a folder of slides."""
    folder = source.resolve()
    beside = folder.with_name(f"{folder.name}.csv")
    if beside.is_file():
        return beside
    inside = sorted(source.glob("[!.]*.csv"))
    if len(inside) > 1:
        raise InputError(
            f"{source}: {len(inside)} CSV files ({', '.join(p.name for p in inside)}); choose with --masks"
        )
    return inside[0] if inside else None


def _masks_of_csv(path: Path, source: Path, stems: Collection[str]) -> dict[str, Mask]:
    encodings = _read_csv(path)
    for identifier in encodings:
        if identifier not in stems:
            raise InputError(f"{path}: id {identifier} has no image in {source}; add {identifier}.tiff or drop the row")
    for stem in stems:
        if stem not in encodings:
            raise InputError(f"{path}: no row for the image {stem}; add one, with 0 0 if it has no crypt")
    return {stem: _mask_of_rle(path, stem, encodings[stem]) for stem in stems}


def _read_csv(path: Path) -> dict[str, str]:
    """Run lengths by id."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV ({error}); export it again as UTF-8") from error
    finally:
        csv.field_size_limit(limit)
    names = [name.strip().lower() for name in header]
    column = next((names.index(name) for name in RLE_COLUMNS if name in names), None)
    if "id" not in names or column is None:
        found = ", ".join(header)[:200] or "nothing"
        raise InputError(f"{path}: columns {found}; expected id and {', '.join(RLE_COLUMNS[:3])}; rename them")
    encodings: dict[str, str] = {}
    for row in rows:
        identifier = from_cell(row[names.index("id")].strip()) if len(row) > names.index("id") else ""
        if identifier in encodings:
            raise InputError(f"{path}: id {identifier} has two rows; keep one with all its runs")
        encodings[identifier] = row[column].strip() if len(row) > column else ""
    return encodings


def _mask_of_rle(path: Path, stem: str, encoding: str) -> Mask:
    def check(shape: Shape) -> None:
        with naming(path, f"id {stem}"):
            parse_rle(encoding, shape)

    def read(shape: Shape) -> np.ndarray:
        with naming(path, f"id {stem}"):
            return decode_rle(encoding, shape)

    return Mask(f"rle {zlib.crc32(encoding.encode()):08x}", check, read)


def _masks_of_files(folder: Path, source: Path, stems: Collection[str]) -> dict[str, Mask]:
    """Mask TIFF and GeoJSON files; in a folder of their own, TIFF files may have the very names of the slides."""
    own_folder = folder.resolve() != source.resolve()
    masks: dict[str, Mask] = {}
    paths: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        suffix, is_mask = path.suffix.lower(), stem_of(path).endswith("_mask")
        if suffix == ".geojson":
            stem, make = path.name[: -len(suffix)].removesuffix("_crypts"), _mask_of_geojson
        elif suffix in TIFF_SUFFIXES and (is_mask or own_folder):
            stem, make = stem_of(path).removesuffix("_mask"), _mask_of_tiff
        elif suffix in OTHERS and path.stem.endswith("_mask"):
            raise InputError(f"{path}: a mask as {suffix[1:].upper()}, expected TIFF or GeoJSON; save it as TIFF")
        else:
            continue
        if stem not in stems:
            raise InputError(f"{path}: a mask without its slide; add {stem}.tiff to {source} or remove the mask")
        if stem in masks:
            raise InputError(f"{path}: a second mask of {stem}, besides {paths[stem]}; keep one")
        masks[stem], paths[stem] = make(path), path
    return masks


def _mask_of_tiff(path: Path) -> Mask:
    def check(shape: Shape) -> None:
        found = read_header(path).shape
        if found != (1, *shape):
            size = " x ".join(map(str, found[1:] if found[0] == 1 else found))
            raise InputError(f"{path}: {size} pixels, expected {shape[0]} x {shape[1]} as the slide; export both alike")

    def read(shape: Shape) -> np.ndarray:
        check(shape)
        mask = read_volume(path)[0]
        lowest, highest = mask.min(), mask.max()
        if lowest < 0 or np.count_nonzero(mask == highest) + np.count_nonzero(mask == 0) < mask.size:
            raise InputError(
                f"{path}: more than one value besides 0, from {lowest} to {highest}; expected 0 and one other "
                "value; write a mask, in which crypts that do not touch are separate"
            )
        if 2 * np.count_nonzero(mask) > mask.size:
            logger.warning("%s: more than half of the slide is white, and so crypt; is the mask inverted?", path)
        return mask != 0

    return Mask(describe([path]), check, read)


def _mask_of_geojson(path: Path) -> Mask:
    def read(shape: Shape, *, tell: Callable[..., None] = logger.debug) -> np.ndarray:
        with naming(path):
            features, left_out = choose_features(read_geojson(path), MEANT)
            for name, number in left_out.items():
                tell("%s: %d annotations of the class %s left out, they are no crypts", path, number, name)
            return rasterise(find_polygons(features), shape)

    return Mask(describe([path]), lambda shape: read(shape, tell=logger.warning), read)
