"""Ground, myelin and axon in every pixel of an image, by a U-Net on an encoder that has seen the world."""

import os
from collections.abc import Callable
from typing import Any

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from monai.inferers import sliding_window_inference
from torch import nn

from .common.errors import InputError
from .common.networks.encoders import prepare_encoder
from .common.networks.padding import pad_to_multiple
from .common.training.checkpoints import bare_network, read_weights
from .views import undo_view, view_of

__all__ = [
    "CLASSES",
    "FINE_CHANNELS",
    "LEVELS",
    "SHOWN",
    "Segmenter",
    "SegmenterLoader",
    "class_probabilities",
    "window_side",
]

CLASSES = ("ground", "myelin", "axon")
SHOWN = 0.5  # magnification of what it sees, as a share of that of Segment Anything's tiles
ENCODER = "timm-tf_efficientnet_lite2"
DECODER_CHANNELS = (128, 64, 48, 32, 16)
MULTIPLE = 32  # the encoder halves the image five times
LEVELS = {8: 48, 16: 120, 32: 352}  # stride -> channels of the encoder's features that others may use
FINE_CHANNELS = DECODER_CHANNELS[-1] + len(CLASSES)
MIDDLE_GRAY = 127.5
WINDOW_PX, WINDOW_OVERLAP = 512, 0.25
NAME = "segmenter."  # of its weights in those of a `SamMyelin`


class Segmenter(nn.Module):
    """A U-Net that takes gray values as they come from `to_rgb`, of an image of any size.

    It has learned fibres that are some 75 pixels wide, see `typical_diameter`.

    References
    ----------
    Ronneberger, O. et al. U-Net. MICCAI (2015). Tan, M., Le, Q. EfficientNet. ICML (2019).
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder_name = ENCODER
        self.body = smp.Unet(
            ENCODER, encoder_weights=None, in_channels=3, classes=len(CLASSES), decoder_channels=DECODER_CHANNELS
        )
        self.encoder.conv_head = self.encoder.bn2 = nn.Identity()  # EfficientNet's last layer, which makes no feature
        prepare_encoder(self.body, self.encoder)

    @property
    def encoder(self) -> nn.Module:
        """What pretrained weights go into."""
        return self.body.encoder

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of `CLASSES`.

        Parameters
        ----------
        image : Tensor of float, shape (B, 3, Y, X)
            Gray values from 0 to 255 in equal channels.

        Returns
        -------
        Tensor of float, shape (B, 3, Y, X)
        """
        height, width = image.shape[-2:]
        return self.body(_prepared(image))[..., :height, :width]

    def features(self, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What it sees in an image (B, 3, Y, X).

        Returns
        -------
        fine : Tensor of float, shape (B, FINE_CHANNELS, Y, X)
            Features of every pixel, and the logits of `CLASSES`.
        levels : list of Tensor of float
            Of each of `LEVELS`, the encoder's features (B, channels, y, x) of the image filled up to multiples of 32.
        """
        height, width = image.shape[-2:]
        seen = self.encoder(_prepared(image))
        fine = self.body.decoder(seen)
        fine = torch.cat([fine, self.body.segmentation_head(fine)], dim=1)[..., :height, :width]
        return fine, [seen[stride.bit_length() - 1] for stride in LEVELS]


def _prepared(image: torch.Tensor) -> torch.Tensor:
    return pad_to_multiple(image / MIDDLE_GRAY - 1, MULTIPLE)


class SegmenterLoader:
    """Puts trained weights into the segmenter of a `SamMyelin`, and nothing else.

    Parameters
    ----------
    network : SamMyelin or Segmenter
        Also inside of DistributedDataParallel.
    weights : path
        A state_dict of a `SamMyelin`, of whichever variant, or of a `Segmenter` as ``segmenter.json`` trains it; the
        word ``none`` keeps the network as it is.

    Raises
    ------
    InputError
        When it is called, if the file is missing, is no state_dict, or holds no segmenter.
    """

    def __init__(self, network: nn.Module, weights: str | os.PathLike[str]) -> None:
        self.network, self.weights = network, str(weights)

    def attach(self, engine: Any) -> None:
        engine.add_event_handler("STARTED", self)

    def __call__(self, engine: Any = None) -> None:
        if self.weights == "none":
            return
        found = read_weights(self.weights, "cpu", option="--segmenter_weights")
        network: Any = bare_network(self.network)
        segmenter = network if isinstance(network, Segmenter) else network.segmenter
        wanted = segmenter.state_dict()
        own = {key: value for key in wanted for value in (found.get(NAME + key, found.get(key)),) if value is not None}
        if own.keys() != wanted.keys() or any(own[key].shape != wanted[key].shape for key in wanted):
            raise InputError(
                f"{self.weights}: {len(own)} of {len(wanted)} tensors of a segmenter; give --segmenter_weights a "
                "checkpoint of this bundle, or of its segmenter.json"
            )
        segmenter.load_state_dict(own)


@torch.no_grad()
def class_probabilities(
    image: torch.Tensor,
    segment: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
    *,
    zoom: float,
    views: int = 1,
    progress: bool = False,
) -> torch.Tensor:
    """Probabilities of `CLASSES` in every pixel of an image, found in windows that are shown magnified.

    Parameters
    ----------
    image : Tensor of float32, shape (3, Y, X)
        Gray values from 0 to 255.
    segment : callable
        `SamMyelin.segment`, on ``device``.
    device : device
    zoom : float
        Pixels that the network sees per pixel of the image.
    views : int
        From 1 to 8: in how many ways each window is laid down, see `view_of`; their probabilities are averaged.
    progress : bool
        Whether to show a bar that counts windows.

    Returns
    -------
    Tensor of float32, shape (3, Y, X)
        On the CPU.
    """
    whole = window_side(zoom)
    sides = [min(whole, side) for side in image.shape[1:]]  # of a small image one window, filled up on all sides alike
    height, width = (WINDOW_PX if side == whole else max(1, round(side * zoom)) for side in sides)
    top, left = (-height % MULTIPLE // 2, -width % MULTIPLE // 2)
    margins = (left, -width % MULTIPLE - left, top, -height % MULTIPLE - top)

    def of_window(window: torch.Tensor) -> torch.Tensor:
        shown = F.interpolate(window, (height, width), mode="bilinear", align_corners=False, antialias=True)
        shown = F.pad(shown, margins, mode="replicate")
        seen = [undo_view(segment(view_of(shown, view)).float().softmax(dim=1), view) for view in range(views)]
        found = torch.stack(seen).mean(dim=0)[..., top : top + height, left : left + width]
        return F.interpolate(found, sides, mode="bilinear", align_corners=False, antialias=True)

    found: Any = sliding_window_inference(  # one tensor, as of_window gives it
        image[None].float(),
        sides,
        sw_batch_size=1,
        predictor=of_window,
        overlap=WINDOW_OVERLAP,
        mode="gaussian",
        sw_device=device,
        device=torch.device("cpu"),
        progress=progress,
    )
    return found[0]


def window_side(zoom: float) -> int:
    """Side of the windows that an image is seen in, in its pixels; windows overlap by a quarter, which is whole too.

    So a part of an image that begins where a window does is seen as it is in the whole image.
    """
    return 4 * max(1, round(WINDOW_PX / zoom / 4))
