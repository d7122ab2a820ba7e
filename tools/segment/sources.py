"""The images that a user names: files, folders and patterns, and the images inside microscopes' files."""

import glob
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.datalist import DATALIST, read_dataset
from common.errors import InputError
from common.names import by_name, leads_nowhere, own_results
from common.names import stem as stem_of
from common.reading.formats import no_such_file
from tools.formats.microscopes import ENDINGS as RAW_ENDINGS
from tools.formats.microscopes import TIFF_ENDINGS, ZIPPED, find_only_image, has_images, is_ome_zarr, list_images
from tools.formats.scenes import PICKS, Pick
from tools.segment.description import Description

__all__ = ["Source", "choose_image", "find_images", "find_sources"]

logger = logging.getLogger(__name__)

ENDINGS = (
    *(".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".jp2", ".j2k", ".bmp"),
    *TIFF_ENDINGS,
    *(".svs", ".ndpi", ".scn", ".mrxs"),
    *RAW_ENDINGS,
    *ZIPPED,
)


@dataclass(frozen=True)
class Source:
    """An image of a user: its file, the stem that names of its results begin with, and which image of the file it is.

    ``options`` are ``scene``, ``channel`` and ``time``, if the file holds several.
    """

    path: Path
    stem: str
    options: Mapping[str, str] = field(default_factory=dict)


def find_images(source: str, destination: Path) -> list[Path]:
    """The files that a user names, sorted, or as a dataset lists them. Results are none of them.

    A file, or an OME-Zarr; a folder: the images listed under ``testing`` in its dataset.json, else all images right
    inside it; or a pattern such as ``plate/*_w1.tif``. ``destination`` is where the results go. InputError if there are
    none, or two of them would have results of one name.
    """
    path = Path(source)
    if path.is_file() or is_ome_zarr(path):
        images = [path]
    elif path.is_dir():
        if path.resolve() == destination.resolve():
            raise InputError(
                f"{destination}: results beside their images would be taken for images; choose another folder"
            )
        is_dataset = (path / DATALIST).is_file()
        images = [item.file("image") for item in read_dataset(path).testing] if is_dataset else _images_in(path)
    elif path.is_symlink():
        raise no_such_file(path)
    elif not glob.has_magic(source):
        raise InputError(f"{source}: no such file or folder; give a file, a folder of images or a pattern in quotes")
    else:
        found = map(Path, glob.glob(source))  # noqa: PTH207  absolute patterns, too
        images = sorted(one for one in found if one.is_file() or is_ome_zarr(one))
        if any(image.resolve().parent == destination.resolve() for image in images):
            raise InputError(
                f"{destination}: results beside their images would be taken for images; choose another folder"
            )
        images = _without_results(images)
    if not images:
        below = next((one.parent for one in sorted(path.glob("[!.]*/[!.]*")) if _is_image(one)), None)
        told = (
            f"no image right inside it, but in {below}; give that"
            if below
            else f"no image there; give a file, a folder of images ({', '.join(ENDINGS)}) or a pattern in quotes"
        )
        raise InputError(f"{source}: {told}")
    by_name((stem_of(image), image) for image in images)
    return images


def find_sources(images: Sequence[Path], bundle: Description, pick: Pick) -> tuple[list[Source], list[str]]:
    """Every image that the files of `find_images` hold, as far as a pick leaves it open, and why some hold none.

    A time series is one for every time point, several positions are one for each. InputError if results of two of them
    would have one name.
    """
    sources, failures = [], []
    for image in images:
        try:
            sources += _sources_of(image, bundle, pick)
        except InputError as error:
            failures.append(str(error))
    by_name((source.stem, source.path) for source in sources)
    return sources, failures


def choose_image(image: Path, bundle: Description, options: Mapping[str, str]) -> dict[str, str]:
    """Options of a file that has to hold one image, with the numbers of that image in it.

    InputError if what is picked is not there, or several images are and a pick leaves open which one.
    """
    pick = Pick.of(options)
    others = {name: value for name, value in options.items() if name not in PICKS}
    if not has_images(image, pick, num_axes=bundle.num_axes):
        return others
    return others | find_only_image(image, pick, in_colours=bundle.in_colours).told()


def _sources_of(image: Path, bundle: Description, pick: Pick) -> list[Source]:
    stem = stem_of(image)
    if not has_images(image, pick, num_axes=bundle.num_axes):
        return [Source(image, stem)]
    images = list_images(image, pick, in_colours=bundle.in_colours)
    return [Source(image, f"{stem}{suffix}", one.told()) for suffix, one in images]


def _is_image(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ENDINGS)


def _images_in(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path for path in files if path.is_file() or leads_nowhere(path) or is_ome_zarr(path)]
    images = [path for path in files if _is_image(path)]
    others = [path.name for path in files if path not in images]
    if images and others:
        logger.info("%s: %d files are no images and are left out: %s ...", folder, len(others), others[0])
    return _without_results(images)


def _without_results(images: Sequence[Path]) -> list[Path]:
    results = own_results(images)
    if results:
        logger.info("%d images are results and are left out: %s ...", len(results), min(results))
    return [image for image in images if image not in results]
