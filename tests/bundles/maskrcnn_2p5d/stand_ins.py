"""A network that stands in for the trained detector."""

import torch
from scipy import ndimage
from torch import nn

__all__ = ["Components"]


class Components(nn.Module):
    """Detects the connected components of the slice in the middle of each stack; remembers the stacks."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold, self.stacks = threshold, []

    def detect(self, stacks: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        self.stacks.append(stacks.clone())
        return [self.find(stack[stacks.shape[1] // 2]) for stack in stacks]

    def find(self, plane: torch.Tensor) -> dict[str, torch.Tensor]:
        labels, number = ndimage.label(plane.numpy() > self.threshold)
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
        masks = [torch.from_numpy(labels == index)[None].float() for index in range(1, number + 1)]
        return {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.ones(number, dtype=torch.int64),
            "scores": torch.full((number,), 0.75),
            "masks": torch.stack(masks) if masks else torch.zeros(0, 1, *plane.shape),
        }
