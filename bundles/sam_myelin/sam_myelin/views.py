"""The eight ways to lay down a square image, and where its prompts are in each."""

import torch

__all__ = ["NUM_VIEWS", "boxes_in_view", "points_in_view", "undo_view", "view_of"]

NUM_VIEWS = 8


def view_of(pixels: torch.Tensor, view: int) -> torch.Tensor:
    """One of eight views of an image (..., Y, X): turned by ``view`` % 4 quarters, from number 4 on mirrored before."""
    return torch.rot90(pixels.flip(-1) if view >= NUM_VIEWS // 2 else pixels, view % 4, (-2, -1))


def undo_view(pixels: torch.Tensor, view: int) -> torch.Tensor:
    """The image of which this is a view."""
    turned = torch.rot90(pixels, -(view % 4), (-2, -1))
    return turned.flip(-1) if view >= NUM_VIEWS // 2 else turned


def points_in_view(points: torch.Tensor, view: int, size: int) -> torch.Tensor:
    """Places (..., 2) as (x, y) in a view of a square image of side ``size``; integers are centres of pixels."""
    x, y = points.unbind(dim=-1)
    last = size - 1
    if view >= NUM_VIEWS // 2:
        x = last - x
    for _ in range(view % 4):
        x, y = y, last - x
    return torch.stack([x, y], dim=-1)


def boxes_in_view(boxes: torch.Tensor, view: int, size: int) -> torch.Tensor:
    """Boxes (..., 4) as (x, y, x, y) in a view of a square image; NaN stays NaN."""
    corners = [points_in_view(corner, view, size) for corner in (boxes[..., :2], boxes[..., 2:])]
    return torch.cat([torch.minimum(*corners), torch.maximum(*corners)], dim=-1)
