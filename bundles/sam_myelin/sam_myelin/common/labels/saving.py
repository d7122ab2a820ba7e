"""Label images and pictures as files of planes."""

import logging
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from ..files import replacing

__all__ = ["MAX_PNG_LABEL", "write_labels", "write_png"]

logger = logging.getLogger(__name__)

MAX_PNG_LABEL = np.iinfo(np.uint16).max


def write_labels(folder: Path, name: str, labels: np.ndarray) -> Path:
    """Write a label map; what an earlier run left under the other ending is removed.

    Parameters
    ----------
    folder : Path
        Where to write.
    name : str
        The file's, without ending.
    labels : ndarray of int, shape (Y, X)
        0 is background.

    Returns
    -------
    Path
        ``.png`` of 16 bit; ``.tif`` of 32 bit, with a warning, if a number is above 65535.
    """
    path, other = folder / f"{name}.png", folder / f"{name}.tif"
    if labels.max(initial=0) <= MAX_PNG_LABEL:
        write_png(path, labels.astype(np.uint16))
    else:
        path, other = other, path
        logger.warning("%s: numbers up to %d, which a PNG cannot hold; written as TIFF", path, labels.max())
        with replacing(path) as partial:
            tifffile.imwrite(partial, labels.astype(np.int32), photometric="minisblack", compression="zlib")
    other.unlink(missing_ok=True)
    return path


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a plane (Y, X) or a picture (Y, X, 3) as PNG."""
    with replacing(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
