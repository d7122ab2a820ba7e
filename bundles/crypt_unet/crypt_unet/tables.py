"""Place, size and direction of every crypt, a line each."""

from collections.abc import Iterable

from skimage.measure import regionprops

from .common.labels.ellipses import ellipse_of
from .crypts import Crypt

__all__ = ["COLUMNS", "UM_COLUMNS", "measure_crypts"]

COLUMNS = ("crypt", "y", "x", "area", "major_axis", "minor_axis", "orientation")
UM_COLUMNS = ("y_um", "x_um", "area_um2", "major_axis_um", "minor_axis_um")


def measure_crypts(
    crypts: Iterable[Crypt], pixel_size_um: float | None = None
) -> tuple[tuple[str, ...], list[tuple[float, ...]]]:
    """Place, size and direction of every crypt.

    Parameters
    ----------
    crypts : iterable of Crypt
        They are numbered from 1 in this order.
    pixel_size_um : float, optional
        µm per slide pixel; without it, or with 0, there are no columns in µm.

    Returns
    -------
    columns : tuple of str
        `COLUMNS`, and `UM_COLUMNS` where the size of pixels is known.
    rows : list of tuple
        Centroid, where the centre of the first pixel is 0, half a pixel less than in the GeoJSON; area; axes of the
        ellipse with the same second moments, all in slide pixels; direction of its major axis in degrees, from 0 to
        below 180, from the x axis counter-clockwise as one sees it on the screen.
    """
    rows: list[tuple[float, ...]] = [(number, *_measure(crypt)) for number, crypt in enumerate(crypts, start=1)]
    if not pixel_size_um:
        return COLUMNS, rows
    size = pixel_size_um
    in_um = [
        (y * size, x * size, area * size**2, major * size, minor * size) for _, y, x, area, major, minor, _ in rows
    ]
    return COLUMNS + UM_COLUMNS, [(*row, *more) for row, more in zip(rows, in_um, strict=True)]


def _measure(crypt: Crypt) -> tuple[float, float, int, float, float, float]:
    (region,) = regionprops(crypt.mask.astype("uint8"))
    y, x = region.centroid
    return float(crypt.top + y), float(crypt.left + x), int(region.area), *ellipse_of(region)
