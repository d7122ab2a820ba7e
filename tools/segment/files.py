"""Images of a user, one after another through one loaded network; results lie beside each other under their names."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError
from common.files import prepare_output_dir, replacing, write_text
from common.json_file import read_json
from common.names import SETTINGS
from common.names import stem as stem_of
from common.reading.images import is_volume
from common.reading.nifti import open_nifti, read_spacing
from common.tables import adopt_row
from tools.bundles import read_metadata
from tools.checksum import checksum
from tools.segment.description import Description
from tools.segment.results import Result
from tools.segment.saving import save_labels
from tools.temporary import temporary_folder

if TYPE_CHECKING:
    from tools.segment.loaded import Loaded
    from tools.segment.remote import Server

__all__ = ["remember_settings", "segment_file", "settings_of"]


def settings_of(bundle: Description) -> dict[str, object]:
    """What makes a bundle's results, whatever the image: version, weights, backend and overrides, as JSON has them."""
    settings: dict[str, object] = {
        "bundle": bundle.name,
        "version": read_metadata(bundle.root).get("version"),
        "weights_sha256": checksum(bundle.weights),
        "backend": bundle.backend,
        "overrides": {key: str(value) for key, value in bundle.overrides.items() if not key.endswith("_path")},
    }
    if bundle.foreground is not None:
        settings["foreground_weights_sha256"] = checksum(bundle.foreground.weights)
    return settings


logger = logging.getLogger(__name__)


def _difference(name: str, before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What differs under a name, in words; of options by their names, as they are typed."""
    old, new = before.get(name), now.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in sorted({**old, **new}) if old.get(key) != new.get(key))
        return _difference(key, old, new)
    return f"{name}: {'not given' if old is None else old}, now {'not given' if new is None else new}"


@contextmanager
def remember_settings(
    destination: Path, bundle: Description, options: Mapping[str, str], images: Mapping[str, Path]
) -> Iterator[None]:
    """Write down what makes the results and of which images, and refuse to add to results that were made otherwise.

    ``images`` are the files that the results are named after, by stem. Where the block leaves no result, the folder is
    as it was before, or not there. InputError if it holds results of another bundle, other weights or other settings,
    or of another image of the same name that still exists, or cannot be written.
    """
    settings = {**settings_of(bundle), "options": dict(options)}
    known = {name: str(image.resolve()) for name, image in images.items()}
    path = destination / SETTINGS
    if path.is_file() and any(one.name != SETTINGS for one in destination.iterdir()):
        before = read_json(path, "remove it, or choose another folder")
        different = [key for key, value in settings.items() if before.get(key) != value]
        if different:
            raise InputError(
                f"{destination}: its results were made with other settings "
                f"({_difference(different[0], before, settings)}); choose another folder, or remove it"
            )
        others = before.get("images", {})
        for name, image in known.items():
            if Path(other := others.get(name, image)).exists() and other != image:
                raise InputError(
                    f"{image}: {destination} holds results of {other} under this name; choose another folder"
                )
        write_text(path, json.dumps({**settings, "images": {**others, **known}}, indent=2) + "\n")
        yield
        return
    new = [folder for folder in (destination, *destination.parents) if not folder.exists()]
    prepare_output_dir(destination)
    write_text(path, json.dumps({**settings, "images": known}, indent=2) + "\n")
    written = path.stat().st_ino
    try:
        yield
    finally:
        if [one.name for one in destination.iterdir()] == [SETTINGS] and path.stat().st_ino == written:  # none else's
            path.unlink()
            with suppress(OSError):  # somebody else's file came meanwhile
                for folder in new:
                    folder.rmdir()


def segment_file(
    loaded: Loaded | Server,
    image: Path,
    destination: Path,
    options: Mapping[str, str],
    *,
    overrides: Mapping[str, object] | None = None,
    stem: str = "",
    save: Sequence[str] = (),
) -> list[Path]:
    """Segment an image, and put what the bundle wrote into a folder, each file whole or not at all, the mask last.

    Options and overrides are those of `LoadedBundle.segment` for this image. The files ``<stem>_<kind>`` go into a
    ``destination`` that exists; the stem is the image's own if not given. ``save`` are formats that the labels are
    written in besides, as `tools.formats.saving` knows them. InputError if the image cannot be used, or a result cannot
    be written.
    """
    stem = stem or stem_of(image)
    # not in the destination, whose name may hold what a config takes for its own: @ % $
    with temporary_folder("segment") as folder:
        (folder / "results").mkdir()
        result = loaded.segment(image, folder, options, overrides=overrides or {}, name=str(image), stem=stem)
        if is_volume(result.image):
            logger.info("%s: %s", image, _size_of(result.image))
        saved = save_labels(result.labels, image, destination, stem, save, loaded.bundle.object_name, options)
        return [*saved, *_published(result, destination)]


def _size_of(volume: Path) -> str:
    """Shape and spacing as the bundle read them."""
    shape, spacing = open_nifti(volume).shape[2::-1], read_spacing(volume)
    return f"{' x '.join(map(str, shape))} voxels of {' x '.join(f'{side:g}' for side in spacing)} µm (Z, Y, X)"


def _published(result: Result, destination: Path) -> Iterator[Path]:
    """Copy results; a table of all images of a folder gets the row of this one."""
    for file in sorted(result.files, key=lambda file: file == result.mask):
        if file.is_symlink():
            continue
        path = destination / file.name
        try:
            if file.suffix == ".csv" and not file.name.startswith(f"{result.stem}_"):
                adopt_row(path, file, result.stem, thing="image")
            else:
                with replacing(path) as partial:
                    shutil.copyfile(file, partial)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        yield path
