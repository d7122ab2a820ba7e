"""The verb ``segment``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from fire.decorators import SetParseFns
from tqdm import tqdm

from common.errors import InputError
from common.names import stem as stem_of
from tools.bundles import find_bundle
from tools.convert.spacing import parse_spacing
from tools.segment.description import Description, describe_bundle
from tools.segment.files import find_images, remember_settings, segment_file
from tools.segment.quiet import quiet
from tools.segment.results import MASKS

__all__ = ["segment", "segment_images"]

logger = logging.getLogger(__name__)


@SetParseFns(bundle=str, source=str, destination=str, spacing=str, backend=str)
def segment(
    bundle: str, source: str, destination: str, *extra, spacing: str = "", backend: str = "auto", **overrides
) -> dict[str, object]:
    """Segment images with a bundle; its network is loaded once. Images that have their results are left out.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder. Its configs are code, and run with your rights.
    source : str
        An image (NIfTI, TIFF, PNG, JPEG), a folder of images or a converted dataset, or a pattern in quotes.
    destination : str
        Folder for the results, <image name>_<kind>.
    spacing : str
        Size of a voxel in micrometres as Z,Y,X, or of a pixel as one number, instead of what the files say.
    backend : str
        torch; onnx, ONNX Runtime with what `tools export onnx` made; auto, the faster one of those that are there.
    **overrides
        Of the bundle's inference.json, as --threshold 0.4.
    """
    if extra:
        raise InputError(f"too many arguments: {' '.join(map(str, extra))}; give several images as a pattern in quotes")
    described = describe_bundle(find_bundle(bundle), backend=backend, overrides=overrides)
    target = Path(destination)
    images = find_images(source, target)
    return segment_images(described, images, target, _options(described, spacing))


def segment_images(
    bundle: Description, images: Sequence[Path], destination: Path, options: Mapping[str, str]
) -> dict[str, object]:
    """Segment those of the images that have no results yet.

    Parameters
    ----------
    bundle : Description
    images : sequence of Path
    destination : Path
        Folder for the results; it is created.
    options : mapping of str to str
        As for `LoadedBundle.segment`, for all images.

    Returns
    -------
    dict of str to object
        What was done.

    Raises
    ------
    InputError
        If a bundle or an image cannot be used. An image that cannot be used does not keep the others from theirs.
    """
    remember_settings(destination, bundle, options)
    todo = [image for image in images if not _is_done(image, destination, bundle.mask_kind)]
    failures: list[str] = []
    if todo:
        with quiet() as terminal:
            from tools.segment.loaded import LoadedBundle

            loaded = LoadedBundle(bundle)
            for image in tqdm(todo, desc=bundle.name, unit="image", file=terminal):
                try:
                    segment_file(loaded, image, destination, options)
                except InputError as error:
                    failures.append(str(error) if str(image) in str(error) else f"{image}: {error}")
    for failure in failures[1:]:
        logger.error("%s", failure)
    if failures:
        others = f" ({len(failures)} of {len(todo)} images were not segmented)" if len(todo) > 1 else ""
        raise InputError(failures[0] + others)
    return {"images": len(todo), "done before": len(images) - len(todo), "results": destination}


def _is_done(image: Path, destination: Path, kind: str) -> bool:
    candidates = [destination / f"{stem_of(image)}_{kind}{ending}" for ending in MASKS]
    return any(path.is_file() and path.stat().st_mtime >= image.stat().st_mtime for path in candidates)


def _options(bundle: Description, spacing: str) -> dict[str, str]:
    """What the spacing of the command line means to a bundle."""
    if not spacing:
        return {}
    if bundle.num_axes == 3:
        parse_spacing(spacing)
        return {"spacing": spacing}
    if "pixel_size_um" in bundle.options:
        sizes = spacing.strip("()[] ").split(",")
        if len(set(sizes)) > 1:
            raise InputError(f"--spacing {spacing}: {bundle.name} takes square pixels; give one number")
        return {"pixel_size_um": sizes[0]}
    raise InputError(f"--spacing {spacing}: {bundle.name} does not go by the size of a pixel; leave it out")
