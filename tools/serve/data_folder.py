"""Images that lie on the server: only below one folder, however a path is written."""

import os
import shutil
from http import HTTPStatus
from pathlib import Path

from common.files import replacing
from tools.formats.microscopes import is_ome_zarr
from tools.segment.results import STEM, Result
from tools.serve.failures import Failure

__all__ = ["RESULTS", "find_image", "keep_mask"]

OIF_FOLDER = ".files"  # behind the name of an OIF, with its pixels
RESULTS = "results"  # folder below the data folder that masks go to


def find_image(data_dir: Path | None, image_path: str) -> Path:
    """The image that a request names, relative to the only folder that may be read, if any, or absolute.

    It is given without links: a file, or the folder of an OME-Zarr. Failure 403 if it lies elsewhere once links are
    followed, 404 if there is no such file.
    """
    if data_dir is None:
        raise Failure(
            HTTPStatus.FORBIDDEN, "this server reads no files of its own; start it with --data_dir, or upload the image"
        )
    try:
        path = (data_dir / image_path).resolve()
        is_image = path.is_file() or is_ome_zarr(path)  # fails for a name that is longer than any file's
    except (OSError, ValueError, RuntimeError) as error:
        raise Failure(HTTPStatus.FORBIDDEN, "image_path: not a path inside the data folder") from error
    if not path.is_relative_to(data_dir.resolve()):
        raise Failure(HTTPStatus.FORBIDDEN, "image_path: outside the data folder; only images inside it can be read")
    if path.is_dir() and not is_image:
        raise Failure(HTTPStatus.NOT_FOUND, "image_path: a folder that is no OME-Zarr; name one of the images in it")
    if not is_image:
        raise Failure(HTTPStatus.NOT_FOUND, "image_path: no such file in the data folder")
    for folder in (path, path.with_name(f"{path.name}{OIF_FOLDER}"), path.with_suffix("")):
        _check_links(folder, data_dir.resolve())
    return path


def _check_links(folder: Path, root: Path) -> None:
    """Refuse an image of many files if one of these lies elsewhere once links are followed."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise Failure(HTTPStatus.FORBIDDEN, f"image_path: {name} in it leads out of the data folder")


def keep_mask(data_dir: Path, image: Path, result: Result) -> Path:
    """Copy the mask to ``results`` in the data folder, at the place below it that the image of `find_image` has there.

    It is called ``<image name>_<kind>.<ending>``; of an earlier run it is replaced. Failure 403 if results would leave
    the data folder through a link, 507 if it cannot be written.
    """
    root = data_dir.resolve()
    kind_and_ending = result.mask.name.removeprefix(f"{STEM}_")
    target = root / RESULTS / image.relative_to(root).parent / f"{image.name}_{kind_and_ending}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(root):
            raise Failure(HTTPStatus.FORBIDDEN, "results: leads out of the data folder; remove the link")
        with replacing(target) as partial:
            shutil.copyfile(result.mask, partial)
    except OSError as error:
        raise Failure(
            HTTPStatus.INSUFFICIENT_STORAGE, f"the mask cannot be written to the data folder ({error.strerror})"
        ) from error
    return target
