"""Pixel size from TIFF metadata: OME, ImageJ, Zeiss LSM, MetaMorph, electron microscopes, and resolution tags."""

from typing import Any
from xml.etree import ElementTree

import tifffile

from .tiff_file import without_additions
from .units import length_um

__all__ = ["ome_images", "ome_spacing", "pixel_size_of", "resolution_um", "spacing_of", "told_spacing"]

Spacing = tuple[float, float, float]
ToldSpacing = tuple[float | None, float | None, float | None]


def spacing_of(tiff: tifffile.TiffFile) -> Spacing | None:
    """Spacing of the voxels of an ImageJ, OME or LSM TIFF.

    Returns
    -------
    tuple of float, or None
        In µm as (Z, Y, X); None where the file does not say it along all axes, in units of length.
    """
    z, y, x = told_spacing(tiff)
    return None if z is None or y is None or x is None else (z, y, x)


def pixel_size_of(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    """Height and width of a pixel of an ImageJ, OME or LSM TIFF in µm; None if the file does not give both."""
    _, y, x = told_spacing(tiff)
    return None if y is None or x is None else (y, x)


def told_spacing(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries | None = None) -> ToldSpacing:
    """Spacing of the voxels of a series, in µm as (Z, Y, X); None for each axis that is not given.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        ImageJ, OME, LSM, STK, or of an electron microscope by FEI, Zeiss or Olympus; others do not give it.
    series : tifffile.TiffPageSeries, optional
        The first one that is no addition if not given.
    """
    if not tiff.is_ome and tiff.is_lsm:
        return _lsm_spacing(tiff)
    if tiff.is_stk:
        return _stk_spacing(tiff)
    if not tiff.is_ome:
        return _imagej_spacing(tiff) if tiff.is_imagej else _electron_spacing(tiff)
    series = series or next(iter(without_additions(tiff.series)), None)
    images = ome_images(tiff)
    own = [image for one, image in zip(tiff.series, images, strict=False) if one is series]
    told = {ome_spacing(image) for image in (own if len(images) == len(tiff.series) else images)}
    return told.pop() if len(told) == 1 else (None, None, None)  # it is not known which of them is meant


def ome_images(tiff: tifffile.TiffFile) -> list[ElementTree.Element]:
    """The images in OME metadata, in the order of the file's series; empty if there are none."""
    return list(ElementTree.fromstring(tiff.ome_metadata or "").iterfind("./{*}Image")) if tiff.is_ome else []


def ome_spacing(image: ElementTree.Element) -> ToldSpacing:
    """PhysicalSizeZ, Y and X."""
    pixels = image.find(".//{*}Pixels")
    found = {} if pixels is None else pixels.attrib
    z, y, x = (
        length_um(found.get(f"PhysicalSize{axis}"), found.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
    )
    return z, y, x


def _lsm_spacing(tiff: tifffile.TiffFile) -> ToldSpacing:
    """The same of Zeiss' LSM, in metres; of a single slice the thickness is 0."""
    told = tiff.lsm_metadata or {}
    z, y, x = (length_um(told.get(f"VoxelSize{axis}"), "m") for axis in "ZYX")
    return z, y, x


def _stk_spacing(tiff: tifffile.TiffFile) -> ToldSpacing:
    """The same of MetaMorph, which tells of each plane how far it is from the one before."""
    told = tiff.stk_metadata or {}
    unit, steps = told.get("CalibrationUnits"), {float(step) for step in told.get("ZDistance", ())[1:]}
    return (
        length_um(steps.pop() if len(steps) == 1 else None, unit),
        length_um(told.get("YCalibration"), unit),
        length_um(told.get("XCalibration"), unit),
    )


def _imagej_spacing(tiff: tifffile.TiffFile) -> ToldSpacing:
    """The same of ImageJ, where one unit holds for all axes that have none of their own."""
    found, tags = tiff.imagej_metadata or {}, tiff.pages.first.tags
    unit = found.get("unit")
    if str(unit).strip().lower() in ("inch", "inches", "in"):  # dots of a printer, where nobody has set a scale
        return None, None, None
    step = found.get("spacing")
    return (  # slices from top to bottom have a negative step, which ImageJ itself reads so
        length_um(abs(step) if isinstance(step, (int, float)) else step, found.get("zunit", unit)),
        length_um(_per_pixel(tags.get("YResolution")), found.get("yunit", unit)),
        length_um(_per_pixel(tags.get("XResolution")), unit),
    )


def _electron_spacing(tiff: tifffile.TiffFile) -> ToldSpacing:
    """The same of micrographs of electrons."""
    fei: dict[str, Any] = (tiff.fei_metadata or {}).get("Scan", {})
    zeiss: tuple[Any, ...] = (tiff.sem_metadata or {}).get("ap_image_pixel_size", ())
    olympus: dict[str, Any] = tiff.sis_metadata or {}
    found = [
        (fei.get("PixelHeight"), fei.get("PixelWidth"), "m"),
        (olympus.get("pixelsizey"), olympus.get("pixelsizex"), "m"),
        (zeiss[1], zeiss[1], zeiss[2]) if len(zeiss) == 3 else (None, None, ""),
    ]
    for height, width, unit in found:
        if (y := length_um(height, unit)) and (x := length_um(width, unit)):
            return None, y, x
    return None, None, None


def resolution_um(page: tifffile.TiffPage) -> tuple[float, float] | None:
    """Height and width of a pixel in µm from the resolution tags, where they have a unit."""
    unit = {2: "inch", 3: "cm"}.get(int(getattr(page.tags.get("ResolutionUnit"), "value", 1)))
    height, width = (length_um(_per_pixel(page.tags.get(f"{axis}Resolution")), unit) for axis in "YX")
    return None if height is None or width is None else (height, width)


def _per_pixel(resolution: tifffile.TiffTag | None) -> float | None:
    """Length of a pixel, from the tag that says how many pixels a length has."""
    pixels, length = resolution.value if resolution else (0, 0)
    return length / pixels if pixels else None
