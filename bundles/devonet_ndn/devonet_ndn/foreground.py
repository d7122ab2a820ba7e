"""Where the foreground of each image lies: the results of the nuclear segmentation network."""

import os
from collections.abc import Sequence
from pathlib import Path

from .common.errors import InputError
from .common.names import stem

__all__ = ["with_foreground"]

KINDS = ("prob", "mask")


def with_foreground(items: Sequence[dict[str, str]], foreground_dir: str | os.PathLike) -> list[dict[str, str]]:
    """Add to every item its ``foreground``: ``<image stem>_prob.nii.gz``, else ``<image stem>_mask.nii.gz``.

    Parameters
    ----------
    items : sequence of dict
        With the path of the image under ``image``.
    foreground_dir : path
        Folder that NSN, or whatever else segments nuclei, wrote to.

    Returns
    -------
    list of dict

    Raises
    ------
    InputError
        If an image has no foreground there.
    """
    folder = Path(foreground_dir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; segment the foreground first (devonet_nsn) and give its results")
    found, missing = [], []
    for item in items:
        candidates = [folder / f"{stem(item['image'])}_{kind}.nii.gz" for kind in KINDS]
        present = [path for path in candidates if path.is_file()]
        found += [{**item, "foreground": str(present[0])}] if present else []
        missing += [] if present else [stem(item["image"])]
    if missing:
        raise InputError(
            f"{folder}: no foreground of {len(missing)} of {len(items)} images; the first is {missing[0]}: expected "
            f"{missing[0]}_prob.nii.gz or {missing[0]}_mask.nii.gz. Segment all images first (devonet_nsn)"
        )
    return found
