"""Metadata of OME in a TIFF, before anybody believes them."""

import math
from os import PathLike
from xml.etree import ElementTree

import tifffile

from ..errors import InputError

__all__ = ["check_ome", "names_other_files"]

MAX_PLANES = 1 << 24  # that they may announce; tifffile makes a list as long
START = 2000  # characters that may stand before their first element


def check_ome(path: str | PathLike[str], tiff: tifffile.TiffFile) -> None:
    """Refuse OME metadata that is cut off or in another file, or that tell of too many planes or unnamed axes.

    Tifffile passes over them.
    """
    if not len(tiff.pages) or "<OME" not in tiff.pages.first.description[:START]:
        return
    try:
        root = ElementTree.fromstring(tiff.pages.first.description)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME metadata cannot be read ({error}); export the image again") from error
    elsewhere = root.find("{*}BinaryOnly")
    if elsewhere is not None and len(tiff.pages) > 1:
        raise InputError(
            f"{path}: what its {len(tiff.pages)} pages are is told in {elsewhere.get('MetadataFile')} only, which is "
            "not read; save each image as one OME-TIFF, such as with Fiji or bfconvert"
        )
    for pixels in root.iterfind(".//{*}Pixels"):
        planes = math.prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT")
        if planes > MAX_PLANES:
            raise InputError(f"{path}: its OME metadata announces {planes} planes; export the image again")
    _check_modulo(path, root)


def names_other_files(tiff: tifffile.TiffFile) -> bool:
    """Whether OME metadata name further files."""
    found = ElementTree.fromstring(tiff.ome_metadata or "").iterfind(".//{*}UUID")
    return len({one.get("FileName") for one in found}) > 1


def _check_modulo(path: str | PathLike[str], root: ElementTree.Element) -> None:
    """Refuse a further axis that is hidden in another, such as angles in Z, where tifffile does not tell them apart.

    It does by the first annotation of an image only.
    """
    of_images = [[ref.get("ID") for ref in one.iterfind("{*}AnnotationRef")] for one in root.iterfind("{*}Image")]
    for annotation in root.iterfind("{*}StructuredAnnotations/{*}XMLAnnotation"):
        own = [ids for ids in of_images if annotation.get("ID") in ids]
        is_told = bool(own) and all(ids[0] == annotation.get("ID") for ids in own)
        for along in annotation.iter():
            kind, is_modulo = along.get("Type", "other"), along.tag.rpartition("}")[2][:-1] == "ModuloAlong"
            if is_modulo and not (is_told and kind in tifffile.TIFF.AXES_CODES):
                raise InputError(
                    f"{path}: its axis {along.tag[-1]} holds also those of {kind!r} (ModuloAlong{along.tag[-1]}), "
                    f"expected an axis by itself; save each {kind} as one OME-TIFF, such as with Fiji"
                )
