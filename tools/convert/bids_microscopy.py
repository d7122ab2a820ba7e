"""BIDS microscopy: images by subject, their manual masks, and the size of a pixel from JSON sidecars."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.json_file import read_json
from common.names import IMAGE_ENDINGS, by_name, stem
from common.reading.formats import identify
from common.reading.sidecars import sidecar_pixel_size
from common.reading.tiff import read_pixel_size

__all__ = ["KINDS", "MODALITIES", "Micrograph", "find_micrographs", "read_description"]

logger = logging.getLogger(__name__)

MODALITIES = ("TEM", "SEM", "BF")
KINDS = ("axon", "myelin", "axonmyelin")
SUFFIXES = (".png", ".tif", ".tiff", ".btf")  # also as .ome.tif and .ome.btf


@dataclass(frozen=True)
class Micrograph:
    """An image and what belongs to it.

    Attributes
    ----------
    path : Path
    subject : str
        Such as ``"sub-01"``.
    masks : dict of str to Path
        Kind (axon, myelin, axonmyelin) -> file of the manual mask; empty where nobody has drawn any.
    sidecars : tuple of Path
        JSON files that apply to it, the most general first.
    pixel_size_um : tuple of float, optional
        Micrometres per pixel in (Y, X); None if neither a sidecar nor the image gives it.
    """

    path: Path
    subject: str
    masks: dict[str, Path]
    sidecars: tuple[Path, ...]
    pixel_size_um: tuple[float, float] | None


def find_micrographs(source: Path) -> list[Micrograph]:
    """All TEM, SEM and BF images of a dataset (sub-*/micr/ or sub-*/ses-*/micr/, derivatives/) by name; at least one.

    FileNotFoundError if there is no such folder, InputError if it holds no image, or names or sidecars are wrong.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder, expected a BIDS dataset with sub-*/micr/")
    paths = _find_images(source)
    masks = _find_masks(source, paths)
    jsons = sorted(source.glob("[!.]*.json")) + sorted(source.glob("sub-*/**/[!.]*.json"))
    micrographs = []
    for name, path in paths.items():
        sidecars = tuple(_applicable(path, jsons))
        size = _pixel_size(path, sidecars)
        micrographs.append(Micrograph(path, path.relative_to(source).parts[0], masks.get(name, {}), sidecars, size))
    _warn_of_participants(source, {micrograph.subject for micrograph in micrographs})
    return micrographs


def read_description(source: Path) -> dict[str, object]:
    """The content of dataset_description.json; a warning and nothing if there is none."""
    path = source / "dataset_description.json"
    if not path.is_file():
        logger.warning("%s: no such file, so the dataset has no name and no licence of its own", path)
        return {}
    return read_json(path)


def _find_images(source: Path) -> dict[str, Path]:
    """Images by name without ending, sorted."""
    found = []
    others = 0
    for path in sorted(source.glob("sub-*/**/micr/[!.]*")):
        if path.suffix.lower() not in SUFFIXES:
            _check_other(path)
            continue
        if stem(path).rsplit("_", 1)[-1] not in MODALITIES:
            others += 1
            continue
        subject = path.relative_to(source).parts[0]
        if stem(path).split("_")[0] != subject:
            raise InputError(f"{path}: its name does not begin with {subject}_, as its folder's does; rename either")
        found.append(path)
    if others:
        logger.warning("%s: %d images are no %s and are left out", source, others, ", ".join(MODALITIES))
    if not found:
        raise InputError(
            f"{source}: no image there, expected sub-*/micr/sub-*_TEM.png (or _SEM, _BF; .tif); give the folder that "
            "holds participants.tsv"
        )
    return by_name((stem(path), path) for path in found)


def _check_other(path: Path) -> None:
    """Refuse an image that is named as BIDS has it, in a format that is not converted, such as OME-Zarr or CZI."""
    if path.name.lower().endswith(IMAGE_ENDINGS) and path.name.split(".")[0].rsplit("_", 1)[-1] in MODALITIES:
        raise InputError(f"{path}: expected {', '.join(SUFFIXES)}; export it as PNG or OME-TIFF, or move it away")


def _find_masks(source: Path, paths: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """Manual masks by the name of their image, then by kind."""
    masks: dict[str, dict[str, Path]] = {}
    for path in sorted((source / "derivatives").glob("**/[!.]*-manual.*")):
        name, _, kind = stem(path).removesuffix("-manual").rpartition("_seg-")
        if path.suffix.lower() not in SUFFIXES or kind not in KINDS:
            continue
        if name not in paths:
            logger.warning("%s: a mask without its image %s; it is left out", path, name)
            continue
        other = masks.setdefault(name, {}).setdefault(kind, path)
        if other != path:
            raise InputError(f"{path}: a second {kind} mask of {name}, besides {other}; keep one")
    return masks


def _applicable(image: Path, jsons: list[Path]) -> list[Path]:
    """JSON files in the image's folder or above, of its modality, with no entity that the image's name lacks."""
    entities = set(stem(image).split("_"))
    fitting = [p for p in jsons if p.parent in image.parents and set(p.stem.split("_")) <= entities]
    modality = stem(image).rsplit("_", 1)[-1]
    fitting = [p for p in fitting if p.stem.rsplit("_", 1)[-1] == modality]
    return sorted(fitting, key=lambda p: (len(p.parts), len(p.stem.split("_"))))


def _pixel_size(image: Path, sidecars: tuple[Path, ...]) -> tuple[float, float] | None:
    """Micrometres per pixel in (Y, X), of a sidecar, else of the image; None, with a warning, if neither gives it."""
    fields: dict[str, Any] = {}
    for path in sidecars:
        fields |= read_json(path)
    told = sidecar_pixel_size(sidecars[-1], fields) if sidecars else None
    told = told or (read_pixel_size(image) if identify(image) == "tiff" else None)
    if not told:
        missing = "PixelSizeUnits" if "PixelSize" in fields else "PixelSize"
        where = f"no {missing} in {sidecars[-1].name}" if sidecars else "no JSON sidecar"
        logger.warning("%s: %s; lengths will be in pixels instead of um", image, where)
    return told


def _warn_of_participants(source: Path, subjects: set[str]) -> None:
    """Say where participants.tsv and the folders disagree."""
    path = source / "participants.tsv"
    if not path.is_file():
        logger.warning("%s: no such file; subjects are taken from the folders", path)
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            listed = {row.get("participant_id") for row in csv.DictReader(file, delimiter="\t")}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable table ({error}); save it as UTF-8 with tabs") from error
    for subject in sorted(subjects - listed):
        logger.warning("%s: %s has images but no row", path, subject)
    for subject in sorted(filter(None, listed - subjects)):
        logger.warning("%s: %s has a row but no image", path, subject)
