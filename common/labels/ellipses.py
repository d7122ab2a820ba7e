"""The ellipse with the same second moments as an object, as our tables give it."""

import math
from typing import Any

__all__ = ["ellipse_of"]


def ellipse_of(region: Any) -> tuple[float, float, float]:
    """Axes and direction of an object's ellipse.

    Parameters
    ----------
    region : RegionProperties
        Of scikit-image, in a plane.

    Returns
    -------
    major_axis, minor_axis : float
        Full lengths in pixels.
    direction : float
        Of the major axis in degrees, from 0 to below 180, from the x axis counter-clockwise as one sees it.
    """
    degrees = math.degrees(region.orientation) + 90  # scikit-image counts from the y axis
    return (
        float(region.axis_major_length),
        float(region.axis_minor_length),
        round(degrees, 3) % 180,  # rounded first, so that nothing just below 180 is written as 180
    )
