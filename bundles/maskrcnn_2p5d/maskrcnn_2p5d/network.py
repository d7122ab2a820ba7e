"""Mask R-CNN that sees the slices around the one it looks at."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from .backbones import LEVELS, GrayFPN
from .common.errors import InputError
from .contrast import LearnedContrast
from .fusion import build_fusion
from .targets import check_num_slices, stack_indices

__all__ = ["MaskRCNN2p5D"]

NUM_CLASSES = 2  # background and object
BOX_SIZE, MASK_SIZE = 7, 14  # features along a box, of the paper
STRIDES = (4, 8, 16, 32)  # of the levels that boxes are taken from
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4  # boxes of this size are taken from stride 2**4, of the FPN paper
# of the many boxes of an image, so many are learned from: on crops, torchvision's 512 makes the mask head cost more
# than all the rest
BOXES_PER_IMAGE = 64

Detections = dict[str, torch.Tensor]


class _Batching(GeneralizedRCNNTransform):
    """Pads images to whole cells of the deepest level, and leaves size and intensity as they are.

    torchvision resizes every image to a size of its choice. Here a pixel has a size in micrometres, which is the same
    in all images, and intensity is scaled for whole volumes before.
    """

    def __init__(self) -> None:
        super().__init__(min_size=0, max_size=0, image_mean=[0.0], image_std=[1.0])

    def resize(self, image, target=None):
        return image, target


class MaskRCNN2p5D(MaskRCNN):
    """Mask R-CNN with a feature pyramid, for the slice in the middle of a stack.

    With resnet18, se fusion and three slices it has 12.0 million parameters, 24 MB in half precision: 11.2 in the
    ResNet, 0.2 in the pyramid, 0.4 in the box head, 0.2 in the mask head.

    Batch normalization learns its statistics, unlike in torchvision's detectors: robustly scaled volumes are not
    distributed like photographs. Group normalization would scale every slice by itself: the noise of an empty slice
    would look like objects.

    ``torch.jit.trace`` exports the map of scores (``ckpt_export --use_trace True``) for images of any size, in
    batches as large as the traced one. ``torch.jit.script`` fails here and ``torch.export`` fails in torchvision,
    whose suppression of overlapping boxes branches on how many there are.

    Parameters
    ----------
    num_slices : int
        Slices in a stack, odd.
    fusion : {"center", "channel", "se", "windowed", "pixel", "late"}
        Where they come together; see `fusion`.
    encoder_name : str
        As for `GrayFPN`.
    fpn_channels, box_features : int
        Width of the pyramid with its heads, and of the box head.
    anchor_sizes : sequence of float
        One for each level of the pyramid (strides 4 to 64), in pixels.
    anchor_ratios : sequence of float
        Height / width, for every level.
    score_threshold, nms_threshold : float
        Detections with less score, or with more IoU with a better one, are left out.
    detections_per_slice : int
        At most so many are kept.
    slice_prior, gate_per_level, window, late_fusion
        Of the fusion; see `build_fusion`.
    learn_contrast : bool
        Whether a learned gamma and contrast go before the backbone.

    Raises
    ------
    InputError
        If a knob has a value that is not allowed.

    References
    ----------
    He, K. et al. Mask R-CNN. ICCV (2017). Lin, T.-Y. et al. Feature Pyramid Networks. CVPR (2017).
    """

    def __init__(
        self,
        num_slices: int = 3,
        fusion: str = "se",
        encoder_name: str = "timm-tf_efficientnet_lite0",
        *,
        fpn_channels: int = 64,
        box_features: int = 128,
        anchor_sizes: Sequence[float] = (16, 24, 32, 48, 64),
        anchor_ratios: Sequence[float] = (0.75, 1.0, 1.5),
        score_threshold: float = 0.2,
        nms_threshold: float = 0.3,
        detections_per_slice: int = 100,
        slice_prior: str = "zero",
        gate_per_level: bool = False,
        window: int = 8,
        late_fusion: str = "mean",
        learn_contrast: bool = False,
    ) -> None:
        check_num_slices(num_slices)
        if len(anchor_sizes) != len(LEVELS):
            raise InputError(f"--anchor_sizes {list(anchor_sizes)}: give {len(LEVELS)}, one for each level")
        slice_fusion = build_fusion(
            fusion,
            num_slices,
            fpn_channels,
            prior=slice_prior,
            gate_per_level=gate_per_level,
            window=window,
            late_fusion=late_fusion,
        )
        super().__init__(
            GrayFPN(encoder_name, slice_fusion.in_channels, fpn_channels),
            rpn_anchor_generator=AnchorGenerator(
                tuple((size,) for size in anchor_sizes), (tuple(anchor_ratios),) * len(LEVELS)
            ),
            box_roi_pool=_roi_pool(LEVELS[:-1], BOX_SIZE),
            box_head=TwoMLPHead(fpn_channels * BOX_SIZE**2, box_features),
            box_predictor=FastRCNNPredictor(box_features, NUM_CLASSES),
            box_score_thresh=score_threshold,
            box_nms_thresh=nms_threshold,
            box_detections_per_img=detections_per_slice,
            box_batch_size_per_image=BOXES_PER_IMAGE,
            mask_roi_pool=_roi_pool(slice_fusion.mask_levels, MASK_SIZE),
            mask_head=slice_fusion.mask_head(MaskRCNNHeads(fpn_channels, (fpn_channels,) * 4, dilation=1)),
            mask_predictor=MaskRCNNPredictor(fpn_channels, fpn_channels, NUM_CLASSES),
        )
        self.transform = _Batching()
        self.fusion = slice_fusion
        self.contrast = LearnedContrast() if learn_contrast else nn.Identity()
        self.num_slices = num_slices
        self.architecture, self.encoder_name = "Mask R-CNN", encoder_name

    @property
    def encoder(self) -> nn.Module:
        """What ImageNet's weights are for."""
        return self.backbone.encoder

    def forward(
        self, image: torch.Tensor, targets: list[dict[str, torch.Tensor]] | None = None
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """Losses in training, a map of scores else; detections come from `detect`.

        Parameters
        ----------
        image : Tensor of float, shape (B, n, Y, X)
            Stacks of slices, background about 0 and objects about 1; of any size.
        targets : list of dict, optional
            What is in the slice in the middle, as `slice_targets` draws it; in training, and only then.

        Returns
        -------
        dict of str to Tensor
            In training: torchvision's five losses.
        Tensor of float, shape (B, 1, Y, X)
            Else: the score of the best detection that covers a pixel times the probability of its mask, 0 where there
            is none.

        Raises
        ------
        InputError
            If the image is not of this shape.
        """
        if self.training != (targets is not None):
            raise ValueError("targets go with training mode: call .eval() for scores, or give targets for losses")
        found, losses = self._find_in_stacks(image, targets)
        return losses if self.training else torch.stack([_score_map(detections) for detections in found])

    @torch.no_grad()
    def detect(self, image: torch.Tensor) -> list[Detections]:
        """Objects in the slice in the middle of each stack.

        Parameters
        ----------
        image : Tensor of float, shape (B, n, Y, X)
            As for `forward`; in evaluation mode.

        Returns
        -------
        list of dict of str to Tensor
            For each stack ``boxes`` float32 (k, 4), x1, y1, x2, y2 in pixels; ``labels`` int64 (k,), all 1;
            ``scores`` float32 (k,), falling; ``masks`` float32 (k, 1, Y, X), probabilities. k may be 0.
        """
        self._check_evaluation()
        return self._find_in_stacks(image)[0]

    @torch.no_grad()
    def detect_volume(
        self, volume: torch.Tensor, centres: Sequence[int] | None = None, *, batch_size: int = 4
    ) -> Iterator[Detections]:
        """Objects in the slices of a volume, each slice passing the backbone once where the fusion allows it.

        What `detect` gives for the stacks around the slices, at the ends of the volume with the last slice repeated.
        In memory are the masks of ``batch_size`` slices and, with fusions that share slices, the features of
        ``batch_size`` + n - 1 slices if the centres follow one another.

        Parameters
        ----------
        volume : Tensor of float, shape (Z, Y, X)
            On any device; slices are moved to that of the network as they are needed.
        centres : sequence of int, optional
            Slices to look at; all of them if not given.
        batch_size : int
            Stacks that are looked at together.

        Yields
        ------
        dict of str to Tensor
            As `detect` gives it, for each centre in turn.

        Raises
        ------
        InputError
            If the volume has not three axes.
        """
        self._check_evaluation()
        if volume.ndim != 3:
            raise InputError(f"an image of shape {tuple(volume.shape)}: expected a volume (Z, Y, X)")
        device = next(self.parameters()).device
        slice_features = _SliceFeatures(lambda slices: self.backbone(self._prepare(slices)))
        for chunk in torch.as_tensor(range(len(volume)) if centres is None else centres).split(batch_size):
            numbers, stacks = stack_indices(chunk, len(volume), self.num_slices).unique(return_inverse=True)
            if self.fusion.shares_slices:
                features = self.fusion.fuse(slice_features(volume, numbers.tolist(), device), stacks.to(device))
            else:
                features = self._features(volume[numbers].to(device), stacks.to(device))
            yield from self._find(features, volume[chunk].to(device))[0]

    def _check_evaluation(self) -> None:
        if self.training:
            raise ValueError("the network is in training mode; call .eval() before it detects")

    def _find_in_stacks(self, image, targets=None) -> tuple[list[Detections], dict[str, torch.Tensor]]:
        if image.ndim != 4 or image.shape[1] != self.num_slices:
            raise InputError(
                f"an image of shape {tuple(image.shape)}: expected (B, {self.num_slices}, Y, X), stacks of "
                f"--num_slices {self.num_slices} gray slices"
            )
        image = image.as_subclass(torch.Tensor)  # MONAI's metadata would follow every box
        stacks = torch.arange(image.shape[0] * image.shape[1], device=image.device).view(image.shape[:2])
        return self._find(self._features(image.flatten(0, 1), stacks), image[:, self.num_slices // 2], targets)

    def _prepare(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (S, Y, X), padded, as images of the backbone (S, 1, Y', X')."""
        return self.contrast(self._pad(slices).tensors)

    def _pad(self, slices: torch.Tensor) -> ImageList:
        return self.transform(list(slices[:, None]))[0]

    def _features(self, slices: torch.Tensor, stacks: torch.Tensor) -> dict[str, torch.Tensor]:
        """Fused features of stacks (B, n) of slices (S, Y, X)."""
        images, members = self.fusion.images(self._prepare(slices)[:, 0], stacks)
        return self.fusion.fuse(self.backbone(images), members)

    def _find(self, features, centres: torch.Tensor, targets=None) -> tuple[list[Detections], dict[str, torch.Tensor]]:
        """Detections (none in training) and losses (none in evaluation) for slices (B, Y, X)."""
        images = self._pad(centres)
        proposals, losses = self.rpn(images, {level: features[level] for level in LEVELS}, targets)
        found, roi_losses = self.roi_heads(features, proposals, images.image_sizes, targets)
        return self.transform.postprocess(found, images.image_sizes, images.image_sizes), losses | roi_losses


class _SliceFeatures:
    """Features of the slices of a volume, each computed once if it is asked for in successive calls."""

    def __init__(self, compute: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> None:
        self.compute = compute
        self.known: dict[int, dict[str, torch.Tensor]] = {}

    def __call__(self, volume: torch.Tensor, numbers: list[int], device: torch.device) -> dict[str, torch.Tensor]:
        self.known = {number: self.known[number] for number in numbers if number in self.known}
        new = [number for number in numbers if number not in self.known]
        if new:
            maps = self.compute(volume[new].to(device))
            for position, number in enumerate(new):
                self.known[number] = {level: maps[level][position] for level in LEVELS}
        return {level: torch.stack([self.known[number][level] for number in numbers]) for level in LEVELS}


def _roi_pool(levels: Sequence[str], size: int) -> MultiScaleRoIAlign:
    pool = MultiScaleRoIAlign(list(levels), output_size=size, sampling_ratio=2)
    # else guessed from the first image's size before padding, and kept: wrong for all if that one is small
    pool.scales = [1 / stride for stride in STRIDES]
    lowest, highest = (stride.bit_length() - 1 for stride in (STRIDES[0], STRIDES[-1]))
    pool.map_levels = initLevelMapper(lowest, highest, CANONICAL_SIZE, CANONICAL_LEVEL)
    return pool


def _score_map(detections: Detections) -> torch.Tensor:
    """Score times mask of the best detection at every pixel, (1, Y, X)."""
    weighted = detections["scores"][:, None, None, None] * detections["masks"]
    nothing = weighted.new_zeros((1, *weighted.shape[1:]))  # a maximum needs one entry
    return torch.cat([nothing, weighted]).amax(dim=0)
