"""Clicks and boxes of MONAI Label's clients as prompts."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import MapTransform

from .common.errors import InputError
from .prompt_sources import as_tensor
from .prompts import Prompts

__all__ = ["ClickedPromptsd", "prompts_of_clicks"]


def prompts_of_clicks(clicks: Sequence[Sequence[float]], box: Sequence[float] = ()) -> Prompts:
    """Prompts of fibres that somebody clicked at, and of one that a box was drawn around.

    Parameters
    ----------
    clicks : sequence of (x, y) or (x, y, z)
        In pixels, one in each fibre; z, that of a flat volume, is not looked at.
    box : (x_min, y_min, x_max, y_max) or longer, optional
        The last pixels are inside.

    Returns
    -------
    Prompts
        Numbered from 1, the box last.

    Raises
    ------
    InputError
        If they are of another form.
    """
    try:
        points = np.array([click[:2] for click in clicks], np.float32).reshape(-1, 2)
        boxes = np.array([box[:4]] if len(box) else [], np.float32).reshape(-1, 4)
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"foreground {clicks!r}, roi {box!r}: expected [[x, y], ...] and [x_min, y_min, x_max, y_max] in pixels"
        ) from error
    points = np.pad(points, ((0, len(boxes)), (0, 0)), constant_values=np.nan)
    boxes = np.pad(boxes, ((len(clicks), 0), (0, 0)), constant_values=np.nan)
    return Prompts(np.arange(1, len(points) + 1), points, boxes)


class ClickedPromptsd(MapTransform):
    """Lays prompts that came with a request of MONAI Label into the image's metadata, where `FibreInferer` looks.

    MONAI Label adds what a client sends to the item, ``foreground`` (clicks) and ``roi`` (a box), see
    `prompts_of_clicks`, but hands on to the inferer nothing but the image.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        clicks, box = (data.get(key) or () for key in ("foreground", "roi"))
        if clicks or box:
            for key in self.key_iterator(data):
                data[key].meta["prompts"] = as_tensor(prompts_of_clicks(clicks, box))
        return dict(data)
