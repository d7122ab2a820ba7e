"""torchvision's attention in shifted windows, exported to ONNX for images of any size."""

import torch
import torch.nn.functional as F
from torchvision.models.swin_transformer import ShiftedWindowAttention

__all__ = ["WindowAttention"]

APART = -100.0  # torchvision's, added to the attention of patches that are no neighbours in the image


class WindowAttention(ShiftedWindowAttention):
    """`ShiftedWindowAttention`, whose trace for ONNX computes what torchvision decides by the size of its input.

    torchvision does not shift windows along an axis that is one window long. A trace keeps what was decided for the
    image that it was made with, so its graph would be wrong for images that are much smaller or larger.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, Y, X, C) to as many."""
        return self._forward_any_size(x) if torch.onnx.is_in_onnx_export() else super().forward(x)

    def _forward_any_size(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window_size[1], 0, -height % self.window_size[0]))
        shape = x.shape
        lengths = list(zip(shape[1:3], self.window_size, self.shift_size, strict=True))
        # in a trace lengths are tensors, so these shifts are computed
        shifts = [shift * (length > window) for length, window, shift in lengths]
        is_shifted = any(self.shift_size)
        if is_shifted:
            x = _roll(x, *shifts)
        query, key, value = self._project(self._cut(x))
        attention = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1) + self.get_relative_position_bias()
        if is_shifted:
            parts = [_parts(*axis[:2], shift) for axis, shift in zip(lengths, shifts, strict=True)]
            part = self._cut((3 * parts[0][:, None] + parts[1])[None, :, :, None])[..., 0]
            apart = APART * (part[:, None] != part[:, :, None]).to(x.dtype)
            attention = (attention.unflatten(0, (shape[0], -1)) + apart[None, :, None]).flatten(0, 1)
        mixed = (attention.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        x = self._join(self.proj(mixed), shape)
        if is_shifted:
            x = _roll(x, *(-shift for shift in shifts))
        return x[:, :height, :width]

    def _project(self, windows: torch.Tensor) -> torch.Tensor:
        """Query, key and value (3, N, heads, patches, C / heads) of windows (N, patches, C)."""
        return self.qkv(windows).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)

    def _cut(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (B * n, patches, C) of whole windows (B, Y, X, C)."""
        rows, columns = self.window_size
        batch, height, width, channels = x.shape
        windows = x.reshape(batch, height // rows, rows, width // columns, columns, channels)
        return windows.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows * columns, channels)

    def _join(self, windows: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The inverse of `_cut`."""
        rows, columns = self.window_size
        batch, height, width, channels = shape
        cut = windows.reshape(batch, height // rows, width // columns, rows, columns, channels)
        return cut.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)


def _roll(x: torch.Tensor, down: int | torch.Tensor, right: int | torch.Tensor) -> torch.Tensor:
    """`torch.roll` of (B, Y, X, C) towards the origin, by numbers that may be computed."""
    for axis, shift in ((1, down), (2, right)):
        length = x.shape[axis]
        x = x.index_select(axis, (torch.arange(length, device=x.device) + shift) % length)
    return x


def _parts(length: int | torch.Tensor, window: int, shift: int | torch.Tensor) -> torch.Tensor:
    """Which of three parts, whole windows and the two of the last one, each place of a rolled axis came from."""
    place = torch.arange(length)  # type: ignore[arg-type]  # a tensor while it is traced
    return (place >= length - window).long() + (place >= length - shift).long()
