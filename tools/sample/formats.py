"""Synthetic data in the source format of a bundle: a dataset to convert, or a few images to segment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fire.decorators import SetParseFn

from common.errors import InputError
from tools.bundles import find_bundle
from tools.sample import crypts, ctc, livecell, myelin
from tools.toolbox import read_toolbox

__all__ = ["FORMATS", "sample", "sample_images"]


@dataclass(frozen=True)
class Format:
    """The verb that writes a dataset of a format, and what writes a few images of its kind."""

    sample: Callable[..., dict[str, object]]
    write_images: Callable[[Path], list[Path]]


FORMATS = {
    "crypts": Format(crypts.crypts, crypts.write_images),
    "ctc": Format(ctc.ctc, ctc.write_images),
    "livecell": Format(livecell.livecell, livecell.write_images),
    "myelin": Format(myelin.myelin, myelin.write_images),
}


@SetParseFn(str)
def sample(bundle: str, destination: str, *extra, **options) -> dict[str, object]:
    """Write a small synthetic dataset for a bundle, in its source format; the same seed gives the same bytes.

    Parameters
    ----------
    bundle : str
        A name in bundles/, or a bundle's folder.
    destination : str
        Folder to write to.
        **options
        Those of `sample FORMAT`, for example --seed 1.
    """
    return _format_of(find_bundle(bundle)).sample(destination, *extra, **options)


def sample_images(bundle: Path, folder: Path) -> list[Path]:
    """Draw a few small images as a user would send them; the same ones every time, in a second or two.

    Volumes are NIfTI, which carries their spacing in micrometres, images PNG or TIFF. The folder is made if it is not
    there, files of the same names are replaced. InputError if the bundle's source format is unknown.
    """
    drawn = _format_of(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    return drawn.write_images(folder)


def _format_of(bundle: Path) -> Format:
    name = read_toolbox(bundle).source.format
    if name not in FORMATS:
        raise InputError(f"{bundle.name}: its source format is {name!r}; there are samples for {', '.join(FORMATS)}")
    return FORMATS[name]
