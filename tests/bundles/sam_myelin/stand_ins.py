"""A network that finds fibres by their gray values, and images drawn for it."""

import numpy as np
import torch
import torch.nn.functional as F
from sam_myelin.normalisation import MEAN, STD
from scipy import ndimage
from torch import nn

STROMA, MYELIN, AXON = 100, 180, 220
MYELIN_FROM, AXON_FROM = 140, 200  # padding is 124
CELL_PX, CELLS_PER_TOKEN = 4, 4
SURE = 2.0  # of a logit; the same inside and outside, so that borders stay where they are


class GrayNetwork(nn.Module):
    """Has the methods of `SamMyelin` that inference calls; an embedding is the image at a quarter of its resolution."""

    def __init__(self, image_size: int = 256, part: str = "myelin") -> None:
        super().__init__()
        self.image_size, self.part = image_size, part
        self.num_encoded = 0
        self.seen_px: list[tuple[int, ...]] = []
        self.prompts_at_once: list[int] = []

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[1:] == (3, self.image_size, self.image_size)
        self.num_encoded += len(image)
        gray = F.avg_pool2d(image[:, :1] * STD[0] + MEAN[0], CELL_PX)
        tokens = F.pixel_unshuffle(gray, CELLS_PER_TOKEN)
        return F.pad(tokens, (0, 0, 0, 0, 0, 256 - tokens.shape[1]))

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        gray = image[:, :1]
        self.seen_px.append(tuple(image.shape[-2:]))
        limits = ((-1000, MYELIN_FROM), (MYELIN_FROM, AXON_FROM), (AXON_FROM, 1000))
        return torch.cat([_between(gray, *of) for of in limits], dim=1)

    def decode(
        self,
        embedding: torch.Tensor,
        boxes: torch.Tensor,
        points: torch.Tensor,
        point_labels: torch.Tensor,
        present: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sheath, or all, of the component that a point, or else the middle of a box, lies in."""
        assert present is None and boxes.shape[:2] == points.shape[:2] == point_labels.shape[:2]
        assert embedding.dtype == boxes.dtype == points.dtype == torch.float32
        self.prompts_at_once.append(boxes.shape[1])
        gray = self._gray(embedding)
        fibres, _ = ndimage.label(gray[0, 0].numpy() > MYELIN_FROM)
        middles = boxes[0].unflatten(-1, (2, 2)).mean(dim=1)
        places = torch.where(point_labels[0] == 1, points[0, :, 0], middles)
        x, y = ((places / CELL_PX).long().clamp(0, len(fibres) - 1)).T.numpy()
        chosen = torch.from_numpy((fibres[None] == fibres[y, x][:, None, None]) & (fibres[None] > 0))
        drawn = _between(gray, MYELIN_FROM, AXON_FROM if self.part == "myelin" else 1000)[0]
        logits = torch.where(chosen, drawn, -SURE)
        return logits[None, :, None], torch.ones(1, len(logits))

    def _gray(self, embedding: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(embedding[:, : CELLS_PER_TOKEN**2].float(), CELLS_PER_TOKEN)


def _between(gray: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return ((gray - low).minimum(high - gray) / 10).clamp(-SURE, SURE)


class Wrapped(nn.Module):
    """As DistributedDataParallel: the network's own methods are not there."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def draw_grid(rows: int, columns: int, *, pitch: int = 64, outer: int = 26, inner: int = 14) -> tuple[np.ndarray, ...]:
    """Image uint8, labels from 1 and axons of round fibres in rows and columns, each in a field of its own."""
    y, x = np.indices((rows * pitch, columns * pitch))
    distance = np.hypot(y % pitch - pitch // 2, x % pitch - pitch // 2)
    labels = np.where(distance <= outer, 1 + (y // pitch) * columns + x // pitch, 0)
    axon = distance <= inner
    return np.select([axon, labels > 0], [AXON, MYELIN], STROMA).astype(np.uint8), labels, axon
