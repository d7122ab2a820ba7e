"""Names of image files and of what is made from them."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from .errors import InputError

__all__ = ["IMAGE_ENDINGS", "RESULT_KINDS", "SETTINGS", "SUFFIXES", "by_name", "leads_nowhere", "own_results", "stem"]

# kind of image -> how its files' names end; the first is what we write
SUFFIXES = {
    "volume": (".nii.gz", ".nii"),
    "picture": (".png", ".tif", ".tiff"),
    "slide": (".tiff", ".tif", ".ome.tiff", ".ome.tif", ".svs", ".ndpi", ".scn", ".mrxs"),
}
_OTHERS = (
    ".ome.btf",
    ".btf",
    ".ome.zarr",
    ".zarr",
    ".ome.zarr.zip",
    ".zarr.zip",
    ".ozx",
    ".nd2",
    ".czi",
    ".lif",
    ".oib",
    ".oif",
    ".lsm",
    ".stk",
)
_LONGEST_FIRST = sorted({*_OTHERS, *(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)}, key=len)[::-1]
IMAGE_ENDINGS = (*_LONGEST_FIRST, ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2", ".j2k")
# of images that bundles and tools write beside each other, as <stem>_<kind>
RESULT_KINDS = ("mask", "prob", "centre_prob", "markers", "instances", "fibres", "myelin", "axon", "overlay", "labels")
SETTINGS = "segment.json"  # lies in a folder that python -m tools segment wrote to


def stem(path: str | os.PathLike[str]) -> str:
    """File name without the ending of an image, such as ``.nii.gz`` or ``.ome.tif``, in capitals or not."""
    name = Path(path).name
    suffix = next((suffix for suffix in _LONGEST_FIRST if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def leads_nowhere(path: Path) -> bool:
    """Whether it is a link to what is not there, or round in a circle; one to a folder or a pipe is none."""
    return path.is_symlink() and not path.exists()


def by_name(named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Files by the name that everything made from them gets; InputError where two get the same, or one is no text.

    Also names that are the same only on a disk that does not tell capitals, or two forms of an accent, apart.
    """
    found: dict[str, Path] = {}
    folded: dict[str, tuple[str, Path]] = {}
    for name, path in named:
        if name != name.encode(errors="replace").decode():  # no table could hold it
            raise InputError(f"{str(path).encode(errors='backslashreplace').decode()}: no UTF-8 in its name; rename it")
        found.setdefault(name, path)
        known, other = folded.setdefault(unicodedata.normalize("NFC", name).casefold(), (name, path))
        if other != path:
            where = "" if known == name else " on a disk that does not tell capitals or forms of accents apart"
            raise InputError(f"{path}: its results would have the same name as those of {other}{where}; rename one")
    return found


def own_results(images: Iterable[Path]) -> set[Path]:
    """Those of the images that are results: of another one of them, or in a folder of results.

    Parameters
    ----------
    images : iterable of Path
        In one folder or several.

    Returns
    -------
    set of Path
        Such as ``a_mask.png`` where ``a.tif`` lies beside it. A ``b_mask.png`` without a ``b`` is an image, unless the
        folder holds the settings of what was segmented into it.
    """
    images = list(images)
    known = {(path.parent, stem(path)) for path in images}
    folders = {folder for folder, _ in known if (folder / SETTINGS).is_file()}
    return {
        path
        for path in images
        if any(
            stem(path).endswith(f"_{kind}")
            and (path.parent in folders or (path.parent, stem(path).removesuffix(f"_{kind}")) in known)
            for kind in RESULT_KINDS
        )
    }
