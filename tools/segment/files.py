"""Images of a user, one after another through one loaded network; results lie beside each other under their names."""

from __future__ import annotations

import glob
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.datalist import DATALIST, read_dataset
from common.errors import InputError
from common.files import prepare_output_dir, replacing
from common.names import stem as stem_of
from tools.bundles import read_metadata
from tools.checksum import checksum
from tools.segment.description import Description
from tools.segment.results import Result
from tools.temporary import temporary_folder

if TYPE_CHECKING:
    from tools.segment.loaded import LoadedBundle

__all__ = ["find_images", "remember_settings", "segment_file"]

logger = logging.getLogger(__name__)

ENDINGS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs")
SETTINGS = "segment.json"


def find_images(source: str, destination: Path) -> list[Path]:
    """The images that a user names.

    Parameters
    ----------
    source : str
        A file; a folder: the images listed under ``testing`` in its dataset.json, else all images right inside it; or a
        pattern such as ``plate/*_w1.tif``.
    destination : Path
        Where the results go.

    Returns
    -------
    list of Path
        Sorted by name, or as the dataset lists them.

    Raises
    ------
    InputError
        If there are none, or two of them would have results of one name.
    """
    path = Path(source)
    if path.is_file():
        images = [path]
    elif path.is_dir():
        if path.resolve() == destination.resolve():
            raise InputError(f"{destination}: results beside their images would be taken for images; choose another")
        is_dataset = (path / DATALIST).is_file()
        images = [item.file("image") for item in read_dataset(path).testing] if is_dataset else _images_in(path)
    else:
        images = sorted(found for found in map(Path, glob.glob(source)) if found.is_file())  # noqa: PTH207  absolute patterns, too
        if any(image.resolve().parent == destination.resolve() for image in images):
            raise InputError(f"{destination}: results beside their images would be taken for images; choose another")
    if not images:
        raise InputError(
            f"{source}: no image there; give a file, a folder of images ({', '.join(ENDINGS)}) or a pattern in quotes"
        )
    _check_stems(images)
    return images


def remember_settings(destination: Path, bundle: Description, options: Mapping[str, str]) -> None:
    """Note down what makes the results, and refuse to go on with what others made.

    Raises
    ------
    InputError
        If the folder holds results of another bundle, other weights or other settings, or cannot be written.
    """
    settings = {
        "bundle": bundle.name,
        "version": read_metadata(bundle.root).get("version"),
        "weights_sha256": checksum(bundle.weights),
        "backend": bundle.backend,
        "overrides": {key: str(value) for key, value in bundle.overrides.items() if not key.endswith("_path")},
        "options": dict(options),
    }
    path = destination / SETTINGS
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        different = [key for key, value in settings.items() if before.get(key) != value]
        if different:
            raise InputError(
                f"{destination}: holds results of another {different[0]} ({before.get(different[0])}, now "
                f"{settings[different[0]]}); choose another folder, or remove it"
            )
        return
    prepare_output_dir(destination)
    with replacing(path) as partial:
        partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def segment_file(
    loaded: LoadedBundle,
    image: Path,
    destination: Path,
    options: Mapping[str, str],
    *,
    overrides: Mapping[str, object] | None = None,
    beside: Iterable[Path] = (),
) -> list[Path]:
    """Segment an image, and put what the bundle wrote into a folder, each file whole or not at all, the mask last.

    Parameters
    ----------
    loaded : LoadedBundle
    image : Path
    destination : Path
        Where ``<stem>_<kind>`` go; it exists.
    options
        As for `LoadedBundle.segment`.
    overrides : mapping, optional
        Of the config, for this image.
    beside : iterable of Path
        Files that the config looks for in its output folder.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        If the image cannot be used, or a result cannot be written.
    """
    stem = stem_of(image)
    # not in the destination, whose name may hold what a config takes for its own: @ % $
    with temporary_folder("segment") as folder:
        (folder / "results").mkdir()
        for file in beside:
            (folder / "results" / file.name).symlink_to(file.resolve())
        result = loaded.segment(image, folder, options, overrides=overrides or {}, name=str(image), stem=stem)
        return list(_published(result, destination))


def _published(result: Result, destination: Path) -> Iterator[Path]:
    """Copy results; what knows of no image becomes the image's, as all that its bundle was shown is this one."""
    for file in sorted(result.files, key=lambda file: file == result.mask):
        if file.is_symlink():
            continue
        name = file.name if file.name.startswith(f"{result.stem}_") else f"{result.stem}_{file.name}"
        try:
            with replacing(destination / name) as partial:
                shutil.copyfile(file, partial)
        except OSError as error:
            raise InputError(f"{destination / name}: cannot be written ({error.strerror})") from error
        yield destination / name


def _images_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if path.name.lower().endswith(ENDINGS)]
    others = [path.name for path in files if path not in images]
    if images and others:
        logger.info("%s: %d files are no images and are left out: %s ...", folder, len(others), others[0])
    return images


def _check_stems(images: Sequence[Path]) -> None:
    """Refuse two images whose results would have the same names."""
    known: dict[str, Path] = {}
    for image in images:
        other = known.setdefault(stem_of(image), image)
        if other is not image:
            raise InputError(f"{image}: its results would have the same name as those of {other}; rename one")
