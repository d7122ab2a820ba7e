"""Sample images for the page, drawn as `tools.sample` draws them: what a user would drop there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from common.errors import InputError
from common.files import replacing
from tools.convert.nifti import write_volume
from tools.sample import devonet_nsn, sam_myelin, swinunet_livecell
from tools.sample.embryo import SPACING_UM
from tools.sample.tissue import draw_slide

__all__ = ["sample_images"]

Files = Iterable[tuple[str, bytes]]

SLIDE_PX, MAGNIFIED = 768, 2  # crypts as large as those that crypt_unet's weights know


def _draw_slides() -> Files:
    """Slides as real ones, for the weights that the bundle ships: in the second stain, and magnified."""
    for index in (2, 3):
        pixels, _ = draw_slide(np.random.default_rng([0, index]), SLIDE_PX, style=1)
        magnified = np.asarray(Image.fromarray(pixels).resize([side * MAGNIFIED for side in pixels.shape[:2]]))
        stream = io.BytesIO()
        tifffile.imwrite(stream, magnified, photometric="rgb", tile=(256, 256), compression="zlib", predictor=True)
        yield f"slide_{index + 1:02d}.tiff", stream.getvalue()


# the files of a small dataset, and which of them are images
EMBRYOS: tuple[Callable[[], Files], str] = (lambda: devonet_nsn.draw_files(num_sequences=1, num_frames=2), "01/t*.tif")
SAMPLES: Mapping[str, tuple[Callable[[], Files], str]] = {
    "crypt_unet": (_draw_slides, "*.tiff"),
    "devonet_ndn": EMBRYOS,
    "devonet_nsn": EMBRYOS,
    "maskrcnn_2p5d": EMBRYOS,
    "sam_myelin": (lambda: sam_myelin.draw_files(num_subjects=1, size=384), "sub-*/micr/*.png"),
    "swinunet_livecell": (lambda: swinunet_livecell.draw_files(num_images=3), "images/*_train_*/*.tif"),
}


def sample_images(bundle_name: str, folder: Path) -> list[Path]:
    """Draw a few small images for a bundle; the same ones every time, in a second or two.

    Parameters
    ----------
    bundle_name : str
        One of the collection's.
    folder : Path
        Where to write them; made if it is not there, files of the same names are replaced.

    Returns
    -------
    list of Path
        Volumes as NIfTI, which carries their spacing in micrometres, images as PNG or TIFF.

    Raises
    ------
    InputError
        If there is no sample for such a bundle.
    """
    if bundle_name not in SAMPLES:
        raise InputError(f"{bundle_name}: no sample images for it; there are for {', '.join(SAMPLES)}")
    draw_files, pattern = SAMPLES[bundle_name]
    images = [(name, content) for name, content in draw_files() if fnmatchcase(name, pattern)]
    folder.mkdir(parents=True, exist_ok=True)
    write = _write_volume if draw_files is EMBRYOS[0] else _write_bytes
    return [write(folder / Path(name).name, content) for name, content in images]


def _write_bytes(path: Path, content: bytes) -> Path:
    with replacing(path) as partial:
        partial.write_bytes(content)
    return path


def _write_volume(path: Path, content: bytes) -> Path:
    """The stack of a TIFF file as NIfTI: a bundle needs the spacing, which the TIFF files of the challenge lack."""
    path = path.with_name(f"embryo_{path.stem}.nii.gz")
    write_volume(path, tifffile.imread(io.BytesIO(content)), SPACING_UM)
    return path
