"""Where a slide shows tissue, and not glass or a region that was never scanned."""

import torch

__all__ = ["has_data", "is_tissue"]

# all channels at or below this: no light came through, or the region was never scanned
BLACK_LEVEL = 60
# glass is bright and colourless; its brightness differs between scanners, so the least of tissue's colour tells more
GLASS_LEVEL, GLASS_COLOUR = 180, 20


def is_tissue(image: torch.Tensor) -> torch.Tensor:
    """Pixels that may be tissue.

    Parameters
    ----------
    image : Tensor of uint8, shape (3, Y, X)
        RGB.

    Returns
    -------
    Tensor of bool, shape (Y, X)
        False for glass (every channel above 180, and none more than 20 above another) and black (no channel above 60).
    """
    brightest, darkest = image.amax(0), image.amin(0)
    glass = (darkest > GLASS_LEVEL) & (brightest - darkest <= GLASS_COLOUR)
    return ~glass & (brightest > BLACK_LEVEL)


def has_data(image: torch.Tensor) -> torch.Tensor:
    """Pixels that were scanned, bool (Y, X): those not pure black."""
    return image.amax(0) > 0
