"""Prompts drawn into an image: what Segment Anything takes as a mask prompt."""

import torch

__all__ = ["draw_prompts"]

CELL_PX = 4  # a mask prompt has a quarter of the image's resolution
SPOT_PX = 8.0  # standard deviation of the spot that stands for a point
SPOT_HEIGHT = 4.0  # over a box, whose inside is 1 and whose outside is -1


def draw_prompts(boxes: torch.Tensor, points: torch.Tensor, signs: torch.Tensor, num_cells: int) -> torch.Tensor:
    """Boxes as rectangles, points as spots.

    Parameters
    ----------
    boxes : Tensor of float, shape (N, 4)
        First and last pixel inside, (x, y, x, y); NaN draws none, and leaves 0.
    points : Tensor of float, shape (N, p, 2)
        (x, y).
    signs : Tensor of float, shape (N, p)
        1 inside the object, -1 outside, 0 draws none.
    num_cells : int
        Side of the drawing, of cells of 4 x 4 pixels.

    Returns
    -------
    Tensor of float, shape (N, 1, num_cells, num_cells)
        A cell of a box's border is as much inside as the box covers of it.
    """
    first = torch.arange(num_cells, dtype=boxes.dtype, device=boxes.device) * CELL_PX - 0.5  # its left edge
    known = ~boxes.isnan().any(dim=1)
    corners = boxes.nan_to_num()
    across, down = (
        ((corners[:, None, axis + 2] + 0.5).minimum(first + CELL_PX) - (corners[:, None, axis] - 0.5).maximum(first))
        .div(CELL_PX)
        .clamp(0, 1)
        for axis in (0, 1)
    )
    drawing = (2 * down[:, :, None] * across[:, None, :] - 1) * known[:, None, None]
    middle = first + CELL_PX / 2
    x, y = (torch.exp(-0.5 * ((points[..., axis, None] - middle) / SPOT_PX) ** 2) for axis in (0, 1))
    spots = SPOT_HEIGHT * signs[..., None, None] * y[..., :, None] * x[..., None, :]
    return (drawing + spots.sum(dim=1))[:, None]
