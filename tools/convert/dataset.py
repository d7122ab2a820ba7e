"""What converters share: splits, the folder of a dataset, and volumes that a second run does not write again."""

import logging
import re
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from common.datalist import DATALIST, read_dataset
from common.errors import InputError
from common.files import FolderLock
from common.names import stem
from common.reading.tiff import read_volume
from tools.checksum import copies
from tools.convert.nifti import is_whole, write_volume

__all__ = [
    *("CORRECTED", "as_numbers", "assign_folds", "check_objects", "chosen_units", "describe", "find_unit", "read_ids"),
    *("read_image", "refuse_picture", "warn_of_copies", "write_unless_whole", "writing_dataset"),
]

logger = logging.getLogger(__name__)

PARTIAL = ".partial-dataset"  # of a destination: what becomes of it
MOST_CLASSES = 6  # with background and stray values; pictures have more
MOST_PIECES, USUAL_PIECES = 10, 1.1  # of an object, on the average
CORRECTED = "corrected"  # fact of a dataset of corrections: the bundle that they are for


def assign_folds(groups: Iterable[str], num_folds: int) -> dict[str, int]:
    """Deal units out to folds from 0, round robin in sorted order, so that none is in two.

    InputError for less than one fold; where there are fewer units, one fold per unit and a warning.
    """
    if num_folds < 1:
        raise InputError(f"{num_folds} folds, expected at least 1; give --folds 5 or leave it out")
    groups = sorted(set(groups))
    if groups and len(groups) < num_folds:
        found = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
        logger.warning("%d folds wanted, but only %s to split: one fold for each", num_folds, found)
    return {group: index % min(num_folds, len(groups)) for index, group in enumerate(groups)}


def chosen_units(units: Iterable[str], test: Sequence[str], source: Path, *, kind: str) -> set[str]:
    """Units that go under testing: those in ``test``, or all of ``units`` where it is ``["all"]``.

    ``kind`` says what they are: sequence, subject, ...; InputError if one is unknown in the source.
    """
    known = sorted(set(units))
    alike: dict[str, str] = {}
    for unit in known:
        other = alike.setdefault(re.sub(r"(?<![0-9])0+(?=[0-9])", "", unit).casefold(), unit)
        if other != unit:
            logger.warning(
                "%s: %s %s and %s differ in capitals or zeros only; if they are one, rename them, or a network may be "
                "tested on what it knows",
                *(source, kind, other, unit),
            )
    for unit in test:
        if unit not in known and list(test) != ["all"]:
            raise InputError(f"{source}: --test {unit}: no such {kind}; there are {', '.join(known[:9])}, or all")
    return set(known) if list(test) == ["all"] else set(test)


def warn_of_copies(unit_of: Mapping[Path, str]) -> None:
    """Warn of images that are the same file in two units, which may come to lie in training and testing."""
    for path, original in copies(unit_of).items():
        if unit_of[path] != unit_of[original]:
            logger.warning(
                "%s: the same image as %s; remove one, or a network may be tested on what it has learned",
                path,
                original,
            )


def find_unit(name: str, group: str) -> str:
    """The unit of an image: the first group of a regular expression in its name; the name itself without one.

    InputError if ``--group`` is no such expression, or finds nothing in the name.
    """
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
        raise InputError(f"--group {group}: nothing found in the name {name}; choose one that fits all images")
    return match[1]


@contextmanager
def writing_dataset(destination: Path, folders: Iterable[str], images: Iterable[str]) -> Iterator[Path]:
    """Give a folder to write a dataset to; all that it holds comes to the destination when the block ends well.

    What is there stays as it was until then, and where the block raises an error, which removes what it wrote. A run
    that is killed or interrupted leaves its folder to the next one, which goes on with it. What an earlier run wrote to
    ``folders`` is in it, too. ``images`` are the names of the new images, without endings. InputError if the
    destination cannot be written, another process writes there, or it holds a dataset.json that no converter wrote, or
    one that lists none of these images.
    """
    _check_replaceable(destination, set(images))
    folder = destination / PARTIAL
    parents = {destination / parent for of in folders for parent in (Path(of), *Path(of).parents)}
    new = [parent for parent in sorted(parents) if not parent.exists()]
    lock = FolderLock(destination, "a conversion")
    try:
        destination.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        for of in folders:
            (destination / of).mkdir(parents=True, exist_ok=True)
            (folder / of).mkdir(parents=True, exist_ok=True)
            _link_files(destination / of, folder / of)
    except OSError as error:
        lock.release()
        _remove(folder, new)
        raise InputError(f"{destination}: cannot be written ({error.strerror}); choose another folder") from error
    try:
        yield folder
        (destination / DATALIST).unlink(missing_ok=True)
        # but what a killed run was writing
        files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".partial-"))
        written = [path.relative_to(folder) for path in files]
        for path in sorted(written, key=lambda path: (path.name == DATALIST, path)):
            shutil.move(folder / path, destination / path)  # renames, but where a folder is linked to another disk
        _remove(folder)
    except Exception as error:
        lock.release()
        _remove(folder, new)
        if isinstance(error, InputError):
            raise InputError(str(error).replace(str(folder), str(destination))) from error
        raise
    finally:
        lock.release()


def write_unless_whole(
    path: Path,
    sources: list[Path],
    read: Callable[[], np.ndarray],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    note: str = "",
) -> None:
    """Write a volume, ``.nii.gz``, unless it is there, whole, and made from these very sources.

    ``read`` makes it, as (Z, Y, X); shape and spacing, in µm, have this order. ``note`` says what was done to the
    sources; with another one the volume is written again.
    """
    description = describe(sources, note)
    if not is_whole(path, shape, spacing, description=description):
        write_volume(path, read(), spacing, description=description)


def read_image(path: Path) -> np.ndarray:
    """Image as (Z, Y, X) in its own dtype, floats in 32 bit, one bit as 0 and 1; InputError where it is not finite."""
    return as_numbers(path, read_volume(path))


def as_numbers(path: Path, image: np.ndarray) -> np.ndarray:
    """An image in a type that NIfTI and torch hold, as `read_image` gives it."""
    if image.dtype == bool:
        return image.astype(np.uint8)
    if image.dtype.kind == "c":
        raise InputError(f"{path}: voxels are {image.dtype}, expected gray values; export their magnitude")
    if image.dtype.kind != "f":
        return image
    num_bad = image.size - np.count_nonzero(np.abs(image) <= np.finfo(np.float32).max)
    if num_bad:
        raise InputError(f"{path}: {num_bad} voxels are NaN, infinite or beyond 32 bit; expected numbers, export again")
    return image.astype(np.float32)


def read_ids(path: Path) -> np.ndarray:
    """Object ids as (Z, Y, X): uint16 where they fit, else int32, which torch can hold."""
    ids = read_volume(path, labels=True)
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0 or highest > np.iinfo(np.int32).max:
        raise InputError(f"{path}: ids from {lowest} to {highest}, expected 0 to 2147483647; renumber the objects")
    return ids.astype(np.uint16 if highest <= np.iinfo(np.uint16).max else np.int32)


def check_objects(name: object, labels: np.ndarray) -> None:
    """Warn where numbers stand for several objects; InputError as `refuse_picture`."""
    num_labels, num_pieces = refuse_picture(name, labels)
    if not num_labels:
        logger.info("%s: no object in it", name)
    if num_pieces > 1 + USUAL_PIECES * num_labels:
        logger.warning(
            "%s: %d numbers lie in %d pieces; if these are objects, give each a number of its own (8 bit hold 255)",
            *(name, num_labels, num_pieces),
        )


def refuse_picture(name: object, labels: np.ndarray) -> tuple[int, int]:
    """How many labels there are, and pieces that they lie in; InputError where they are a picture's gray values."""
    from skimage import measure  # slow to import

    if not np.array_equal(labels, np.rint(labels)):
        raise InputError(f"{name}: holds decimals, expected labels, a whole number for each object; give those")
    values, num_pieces = np.unique(labels), measure.label(labels, connectivity=1, return_num=True)[1]
    if len(values) > MOST_CLASSES and num_pieces > MOST_PIECES * len(values):
        raise InputError(
            f"{name}: its {len(values)} labels lie in {num_pieces} pieces, as the gray values of a picture do; give "
            "labels there, a number for each object"
        )
    return int(np.count_nonzero(values)), num_pieces


def describe(sources: Sequence[Path], note: str = "") -> str:
    """ASCII text that changes with the sources and the note: a name, and a checksum of all names and times."""
    states = [f"{path.absolute().parts[-3:]} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in sources]
    states += [note] if note else []
    return f"{sources[0].name.encode('ascii', 'replace').decode()} {zlib.crc32('|'.join(states).encode()):08x}"


def _check_replaceable(folder: Path, images: set[str]) -> None:
    """Refuse a folder with a dataset.json that is no datalist with a spacing, a patch size or a licence.

    So is one of corrections, which nobody can make again, and one of other images, whose list would be lost.
    """
    path = folder / DATALIST
    if not path.exists():
        return
    try:
        dataset = read_dataset(folder)
        known = bool(set(dataset.facts) & {"spacing", "patch_size", "licence"})
    except InputError:
        known = False
    if known and CORRECTED in dataset.facts:
        raise InputError(f"{path}: corrections for {dataset.facts[CORRECTED]} are kept there; choose another folder")
    if not known:
        raise InputError(f"{path}: not written by this converter; remove it or choose another folder")
    others = {stem(item.name) for item in (*dataset.training, *dataset.testing)}
    if others and others.isdisjoint(images):
        raise InputError(
            f"{path}: lists {len(others)} other images, such as {min(others)}; remove it or choose another folder"
        )


def _link_files(source: Path, target: Path) -> None:
    """Let a folder have the files of another one that it has not; where links are unknown, they are made again."""
    for path in source.iterdir():
        if path.is_file() and not (target / path.name).exists():
            with suppress(OSError):
                (target / path.name).hardlink_to(path)


def _remove(folder: Path, empty: Sequence[Path] = ()) -> None:
    """Remove a folder, and of others those that are empty, the innermost first."""
    shutil.rmtree(folder, ignore_errors=True)
    for one in reversed(empty):
        with suppress(OSError):
            one.rmdir()
