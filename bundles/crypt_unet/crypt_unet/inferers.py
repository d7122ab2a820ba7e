"""From a slide to probabilities: overlapping windows, blended, without those that show no tissue."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.data.utils import compute_importance_map
from monai.inferers import Inferer
from torch import nn
from tqdm import tqdm

from .common.networks.padding import repeat_border
from .tissue import has_data, is_tissue

__all__ = ["SlideInferer", "window_starts"]

# flips of Y and X; each undoes itself
FLIPS = ((), (-2,), (-1,), (-2, -1))


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where windows start along one axis; the last one ends with the slide.

    Parameters
    ----------
    length, window : int
        Of slide and window, in pixels.
    overlap : float
        Least part of a window, in [0, 1), that the next one repeats.

    Returns
    -------
    list of int
        Ascending and evenly spread; 0 alone where the slide is not longer than a window.
    """
    last = length - window
    if last <= 0:
        return [0]
    stride = max(1, int(window * (1 - overlap)))
    num_steps = -(-last // stride)
    return [round(step * last / num_steps) for step in range(num_steps + 1)]


class SlideInferer(Inferer):
    """Probability of crypts on a whole slide.

    The slide stays uint8; only windows become float. Windows with hardly any tissue are skipped, the others overlap and
    are blended with Gaussian weights. Pixels without data, and those that only skipped windows show, get 0.

    Parameters
    ----------
    roi_size : sequence of int
        Height and width of the windows.
    overlap : float
        As for `window_starts`.
    sw_batch_size : int
        Windows that go through the network at once.
    min_tissue : float
        Windows with a smaller part of tissue are skipped; 0 skips none.
    test_time_augmentation : bool
        Mean over four flips of every window: better, and four times slower.
    members : sequence of Module
        Further networks, whose probabilities are averaged with those of the network that the inferer is called with.
    progress : bool
        Show a bar of windows for slides that have many.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        overlap: float = 0.25,
        sw_batch_size: int = 4,
        min_tissue: float = 0.005,
        test_time_augmentation: bool = False,
        members: Sequence[nn.Module] = (),
        progress: bool = False,
    ) -> None:
        super().__init__()
        self.roi_size, self.overlap, self.sw_batch_size = tuple(roi_size), overlap, sw_batch_size
        self.min_tissue, self.flips = min_tissue, FLIPS if test_time_augmentation else FLIPS[:1]
        self.members, self.progress = list(members), progress

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args, **kwargs) -> torch.Tensor:
        """Probabilities (B, C, Y, X), float32, of a batch of RGB slides, uint8 (B, 3, Y, X).

        The network takes windows (N, 3, y, x) and gives logits (N, C, y, x). One channel of zeros where no window shows
        tissue.
        """
        networks: list[Callable[..., Any]] = [network, *self.members]
        with torch.inference_mode():
            return torch.stack([self._infer(torch.as_tensor(slide), networks) for slide in inputs])

    def _infer(self, slide: torch.Tensor, networks: Sequence[Callable[..., Any]]) -> torch.Tensor:
        height, width = slide.shape[1:]
        windows = self._windows(slide)
        weight = compute_importance_map(self.roi_size, mode="gaussian", device=slide.device, dtype=torch.float32)
        blended = torch.zeros(1, height, width, device=slide.device)
        # sums of one row of windows, of the weights last; what the next row does not reach is finished, so the whole
        # slide needs no sums
        first, sums = 0, torch.zeros(2, self.roi_size[0], max(width, self.roi_size[1]), device=slide.device)
        rows = sorted({top for top, _ in windows})
        is_long = self.progress and len(windows) > self.sw_batch_size
        with tqdm(total=len(windows), desc="windows", leave=False, disable=not is_long) as bar:
            for top in rows:
                self._finish(blended, sums, first, min(top - first, self.roi_size[0]))
                sums = _moved_up(sums, top - first)
                first = top
                lefts = [left for row, left in windows if row == top]
                for start in range(0, len(lefts), self.sw_batch_size):
                    batch = lefts[start : start + self.sw_batch_size]
                    crops = torch.stack([self._crop(slide, top, left) for left in batch])
                    probabilities = self._predict(crops, networks)
                    if len(blended) < probabilities.shape[1]:  # the first windows tell how many channels there are
                        blended = blended.repeat(probabilities.shape[1], 1, 1)
                        sums = sums[:1].repeat(probabilities.shape[1] + 1, 1, 1)
                    for left, probability in zip(batch, probabilities, strict=True):
                        part = sums[:, :, left : left + self.roi_size[1]]
                        part[:-1] += probability * weight
                        part[-1] += weight
                    bar.update(len(batch))
        self._finish(blended, sums, first, self.roi_size[0])
        return blended * has_data(slide)

    def _windows(self, slide: torch.Tensor) -> list[tuple[int, int]]:
        """Corners of the windows with tissue, by rows."""
        height, width = slide.shape[1:]
        tissue = is_tissue(slide)
        corners = [
            (top, left)
            for top in window_starts(height, self.roi_size[0], self.overlap)
            for left in window_starts(width, self.roi_size[1], self.overlap)
        ]
        if self.min_tissue <= 0:
            return corners
        return [
            (top, left)
            for top, left in corners
            if tissue[top : top + self.roi_size[0], left : left + self.roi_size[1]].float().mean() >= self.min_tissue
        ]

    def _crop(self, slide: torch.Tensor, top: int, left: int) -> torch.Tensor:
        """One window as float; where the slide is smaller, its border is repeated."""
        crop = slide[:, top : top + self.roi_size[0], left : left + self.roi_size[1]].float()
        below, beside = self.roi_size[0] - crop.shape[1], self.roi_size[1] - crop.shape[2]
        return repeat_border(crop[None], below, beside)[0]

    def _predict(self, windows: torch.Tensor, networks: Sequence[Callable[..., Any]]) -> torch.Tensor:
        """Mean probability over flips and networks."""
        total = torch.zeros((), device=windows.device)
        for flip in self.flips:
            flipped = windows.flip(flip).contiguous(memory_format=torch.channels_last)
            for network in networks:
                total = total + torch.sigmoid(network(flipped).float()).flip(flip)
        return total / (len(self.flips) * len(networks))

    @staticmethod
    def _finish(blended: torch.Tensor, sums: torch.Tensor, first: int, num_rows: int) -> None:
        """Write the first rows of the sums into the result."""
        num_rows = min(num_rows, blended.shape[1] - first)
        rows = sums[:, :num_rows, : blended.shape[2]]
        blended[:, first : first + num_rows] = rows[:-1] / rows[-1].clamp(min=torch.finfo(rows.dtype).tiny)


def _moved_up(sums: torch.Tensor, num_rows: int) -> torch.Tensor:
    """The sums without their first rows, with as many empty ones below."""
    moved = torch.zeros_like(sums)
    if num_rows < sums.shape[1]:
        moved[:, : sums.shape[1] - num_rows] = sums[:, num_rows:]
    return moved
