"""Where the images and annotations of a COCO dataset are: LIVECell's own folders, or one JSON with a folder."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common.datalist import DATALIST
from common.errors import InputError
from tools.convert.gray import IMAGE_SUFFIXES

__all__ = ["PLAIN", "SPLITS", "Split", "find_splits", "match_images"]

SPLITS = ("test", "val", "train")  # what comes first keeps an image that is in two
PLAIN = "all"
TRAINING_FOLDER, TESTING_FOLDER = "livecell_train_val_images", "livecell_test_images"


@dataclass(frozen=True)
class Split:
    """One annotation file and the folder of its images, maybe with folders below.

    The name is test, val or train; ``"all"`` for plain COCO.
    """

    name: str
    annotations: Path
    images: Path


def find_splits(source: Path, images: Path | None = None) -> list[Split]:
    """Annotation files of a source and where their images are: test, val, train as far as they are there, or one.

    The source is a folder in LIVECell's layout, a COCO JSON, or a folder with one (itself or in annotations/). Without
    a folder of images it is LIVECell's, else images/ beside the JSON or above it, else the JSON's folder.
    FileNotFoundError or InputError if the source or a folder of images does not exist, there is no JSON, or several
    that are not LIVECell's.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder, expected a copy of LIVECell or a COCO JSON")
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"{images}: no such folder, expected the images")
    splits = [] if source.is_file() else _find_livecell(source, images)
    return splits or [_find_plain(source, images)]


def match_images(folder: Path, names: Iterable[str], annotations: Path) -> tuple[dict[str, Path], int]:
    """Image files by the names in a JSON (``annotations``), in a folder or anywhere below; number of others.

    InputError if an image is missing or in another format, or two files or two names could be meant.
    """
    names = list(names)
    found: dict[str, list[Path]] = {}
    others: dict[str, Path] = {}
    for path in sorted(folder.rglob("[!.]*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(_composed(path.name), []).append(path)
        else:
            others[path.name] = path
    files: dict[str, Path] = {}
    missing = []
    for name in names:
        candidates = found.get(_composed(Path(name).name), [])
        exact = [path for path in candidates if path == folder / name]
        candidates = exact if exact and len(Path(name).parts) > 1 else candidates
        if len(candidates) > 1:
            raise InputError(f"{candidates[1]}: same file name as {candidates[0]}; remove or rename one of them")
        if candidates:
            files[name] = candidates[0]
        else:
            other = others.get(Path(name).name)
            if other is not None:
                raise InputError(f"{other}: expected {', '.join(IMAGE_SUFFIXES)}; export it as gray TIFF of 8 bit")
            missing.append(name)
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(
            f"{annotations}: image {missing[0]}{more} is not in {folder}, expected .tif, .png, .jpg or .bmp; "
            "add it or remove its record"
        )
    return files, sum(len(paths) for paths in found.values()) - len(files)


def _composed(name: str) -> str:
    """A name whose accents are one with their letters, which they are not in what a Mac zips."""
    return unicodedata.normalize("NFC", name)


def _find_livecell(source: Path, images: Path | None) -> list[Split]:
    """Splits in LIVECell's layout; none if it is another."""
    splits = []
    for name in SPLITS:
        path = source / f"annotations/livecell_coco_{name}.json"
        if path.is_file():
            folder = (images or source / "images") / (TESTING_FOLDER if name == "test" else TRAINING_FOLDER)
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder}: no such folder, expected the images of {path.name}; add it")
            splits.append(Split(name, path, folder))
    return splits


def _find_plain(source: Path, images: Path | None) -> Split:
    """The one JSON of plain COCO."""
    path = source
    if source.is_dir():
        files = (path for folder in (source, source / "annotations") for path in folder.glob("[!.]*.json"))
        jsons = sorted(path for path in files if path.name != DATALIST)  # which an earlier run may have written there
        if not jsons:
            raise InputError(
                f"{source}: no annotations, expected annotations/livecell_coco_{{train,val,test}}.json as LIVECell has "
                "them, or one COCO JSON; add it"
            )
        if len(jsons) > 1:
            found = ", ".join(p.name for p in jsons[:5])
            raise InputError(
                f"{source}: {len(jsons)} JSON files ({found}), expected one; give the one to convert itself"
            )
        path = jsons[0]
    beside = [path.parent / "images", path.parent.parent / "images" if path.parent.name == "annotations" else None]
    folders = [images, *beside, path.parent]
    return Split(PLAIN, path, next(folder for folder in folders if folder is not None and folder.is_dir()))
