"""What holds for all parts of an image that is segmented in parts: decided once, by a look at one of them."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .common.files import write_text
from .common.json_file import read_json
from .segmenter import window_side

__all__ = ["Look", "read_look", "write_look"]

MIN_SHARE = 0.05  # of a part that fibres cover, so that it says something about the others


class Look(NamedTuple):
    """How an image is to be segmented.

    Attributes
    ----------
    zoom : float
        Pixels that the segmenter sees per pixel of the image.
    has_bright_myelin : bool
        As `has_bright_myelin` finds.
    """

    zoom: float
    has_bright_myelin: bool


def read_look(path: str | os.PathLike[str]) -> Look | None:
    """What an earlier call wrote; None where there is no such file, as for the word ``none``."""
    if str(path) == "none" or not Path(path).is_file():
        return None
    found = read_json(Path(path), "remove it")
    return Look(float(found["zoom"]), bool(found["has_bright_myelin"]))


def write_look(path: str | os.PathLike[str], look: Look, labels: np.ndarray) -> None:
    """Write what was decided by an image of these fibres (Y, X).

    Beside it stand ``window_px``, the side of the windows in pixels of the image, and ``is_sure``, whether there are
    fibres enough to decide by.
    """
    side = window_side(look.zoom)
    is_sure = bool((labels > 0).mean() >= MIN_SHARE)
    write_text(Path(path), json.dumps({**look._asdict(), "window_px": [side, side], "is_sure": is_sure}, indent=2))
