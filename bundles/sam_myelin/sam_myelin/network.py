"""Segment Anything that takes the prompts of a whole batch at once, on images or on their embeddings."""

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import nn

from .drawing import CELL_PX, draw_prompts
from .normalisation import MEAN, STD
from .pyramid import EMBEDDING_CHANNELS
from .segmenter import SHOWN, Segmenter
from .variants import EFFICIENT, META_IMAGE_SIZE, build_sam

__all__ = ["SamMyelin", "freeze", "freeze_for_training"]

# what Segment Anything's prompt encoder knows: nothing here, a point outside, a point inside, corners of a box
NO_POINT, OUTSIDE, INSIDE, FIRST_CORNER, LAST_CORNER = -1, 0, 1, 2, 3
MASK_TOKEN = 0  # the one for a prompt that means one object; the other three are for ambiguous ones


class SamMyelin(nn.Module):
    """Segment Anything, batched over images and over their prompts.

    Images may have different numbers of prompts: shorter lists are filled up, and ``present`` tells which are real.
    Logits and estimated IoU of a prompt equal those of `segment_anything.modeling.Sam`, whatever else is in the batch.
    Parts and names of weights are those of Segment Anything, so that Meta's checkpoints fit; `segmenter`, which finds
    myelin and axons without a prompt, is added. For the number of parameters see `build_sam`; of the mask decoder's
    4 058 340, 3 506 304 have a part in these logits.

    ``efficient`` sees images through the segmenter, at half their resolution, and makes its embedding of the features
    there, so that whatever the segmenter knows of myelin the decoder knows as well. Its weights are not trained along:
    see `train`. It gets its prompts as points and corners, as all variants do, and drawn into a mask prompt besides:
    from a dozen images a decoder learns which fibre is meant within 100 steps, and not in 150 without the drawing.

    Parameters
    ----------
    variant : str
        ``efficient``, ``vit_b``, ``vit_l`` or ``vit_h``.
    image_size : int
        S, side of the images in pixels; 1024 for all but ``efficient``.

    Raises
    ------
    InputError
        As `build_sam`.
    """

    def __init__(self, variant: str = EFFICIENT, image_size: int = META_IMAGE_SIZE) -> None:
        super().__init__()
        sam = build_sam(variant, image_size=image_size)
        self.variant, self.image_size = variant, image_size
        self.image_encoder, self.prompt_encoder, self.mask_decoder = (
            sam.image_encoder,
            sam.prompt_encoder,
            sam.mask_decoder,
        )
        self.segmenter = Segmenter()
        self.sees_features = self.draws_prompts = variant == EFFICIENT

    def train(self, mode: bool = True) -> "SamMyelin":
        """As for every module, but the segmenter, which has a training of its own, keeps its statistics."""
        super().train(mode)
        self.segmenter.eval()
        return self

    def forward(
        self,
        inputs: torch.Tensor,
        boxes: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        present: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits of one mask per prompt, at a quarter of the image's resolution.

        Parameters
        ----------
        inputs : Tensor of float, shape (B, 3, S, S) or (B, 256, S / 16, S / 16)
            Images in Segment Anything's normalisation, or what `encode` made of them.
        boxes : Tensor of float, shape (B, n, 4), optional
            Centres of the first and the last pixel inside, (x, y, x, y); NaN for a prompt that has points only.
            Without boxes and points, one box is put around the whole image.
        points : Tensor of float, shape (B, n, p, 2), optional
            (x, y); integers are centres of pixels.
        point_labels : Tensor, shape (B, n, p), optional
            1 inside the object, 0 outside, -1 no point; without it, all are inside.
        present : Tensor of bool, shape (B, n), optional
            False for prompts that only fill up the batch. They are not computed, and their logits are 0.

        Returns
        -------
        Tensor of float, shape (B, n, 1, S / 4, S / 4)
        """
        embedding = inputs if inputs.shape[1] == EMBEDDING_CHANNELS else self.encode(inputs)
        return self.decode(embedding, boxes, points, point_labels, present)[0]

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, 256, S / 16, S / 16) of images (B, 3, S, S) in Segment Anything's normalisation."""
        if not self.sees_features:
            return self.image_encoder(image)
        mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        shown = F.avg_pool2d(image * std + mean, round(1 / SHOWN))
        return self.image_encoder(*self.segmenter.features(shown))

    @property
    def encoder_parts(self) -> nn.ModuleList:
        """All that embeddings depend on."""
        return nn.ModuleList([self.image_encoder, self.segmenter] if self.sees_features else [self.image_encoder])

    def decode(
        self,
        embedding: torch.Tensor,
        boxes: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        point_labels: torch.Tensor | None = None,
        present: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, n, 1, S / 4, S / 4), and the IoU (B, n) that the decoder expects them to have; see `forward`."""
        if boxes is None and points is None:
            last = self.image_size - 1
            boxes = embedding.new_tensor([0, 0, last, last]).repeat(embedding.shape[0], 1, 1)
        coordinates, kinds = prompt_tokens(boxes, points, point_labels)
        batch, num_prompts = kinds.shape[:2]
        if present is None:
            repeated = embedding[:, None].expand(-1, num_prompts, -1, -1, -1).flatten(0, 1)
            logits, iou = self._decode_flat(repeated, coordinates.flatten(0, 1), kinds.flatten(0, 1))
            return logits.unflatten(0, (batch, num_prompts)), iou.unflatten(0, (batch, num_prompts))
        owners, places = present.nonzero(as_tuple=True)
        found, found_iou = self._decode_flat(embedding[owners], coordinates[present], kinds[present])
        logits = found.new_zeros(batch, num_prompts, *found.shape[1:]).index_put((owners, places), found)
        return logits, found_iou.new_zeros(batch, num_prompts).index_put((owners, places), found_iou)

    def segment(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (B, 3, Y, X) of ground, myelin and axon, of gray values (B, 3, Y, X) from 0 to 255."""
        return self.segmenter(image)

    def _decode_flat(
        self, embedding: torch.Tensor, coordinates: torch.Tensor, kinds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, 1, Y, X) and expected IoU (N,) of N prompts, each with an embedding of its own."""
        sparse = embed_points(self.prompt_encoder, coordinates, kinds)
        if self.draws_prompts:
            drawing = draw_tokens(coordinates, kinds, self.image_size // CELL_PX)
            dense = self.prompt_encoder.mask_downscaling(drawing)
        else:
            dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return predict_mask(self.mask_decoder, embedding + dense, self.prompt_encoder.get_dense_pe(), sparse)


def prompt_tokens(
    boxes: torch.Tensor | None, points: torch.Tensor | None, point_labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and corners of boxes in one list per prompt, as Segment Anything's prompt encoder orders them.

    Returns
    -------
    coordinates : Tensor of float, shape (B, n, t, 2)
    kinds : Tensor of float, shape (B, n, t)
        -1 nothing, 0 point outside, 1 point inside, 2 and 3 corners. Points alone are followed by one "nothing", which
        stands for the box and which the decoder was trained with.
    """
    coordinates, kinds = [], []
    if points is not None:
        coordinates.append(points)
        kinds.append(torch.ones_like(points[..., 0]) if point_labels is None else point_labels.to(points.dtype))
    if boxes is not None:
        known = ~boxes.isnan().any(dim=-1, keepdim=True)
        coordinates.append(boxes.nan_to_num().unflatten(-1, (2, 2)))
        corners = boxes.new_tensor([FIRST_CORNER, LAST_CORNER]).expand(*boxes.shape[:2], 2)
        kinds.append(torch.where(known, corners, NO_POINT))
    elif points is not None:
        coordinates.append(torch.zeros_like(points[..., :1, :]))
        kinds.append(torch.full_like(points[..., :1, 0], NO_POINT))
    return torch.cat(coordinates, dim=-2), torch.cat(kinds, dim=-1)


def embed_points(encoder: PromptEncoder, coordinates: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """Embeddings (N, t, 256) of points (N, t, 2) of some kinds (N, t); no index depends on a value, so it exports."""
    position = encoder.pe_layer.forward_with_coords(coordinates + 0.5, encoder.input_image_size)  # centres of pixels
    kinds = kinds[..., None]
    embedded = torch.where(kinds == NO_POINT, encoder.not_a_point_embed.weight, position)
    for kind, learned in enumerate(encoder.point_embeddings):
        embedded = embedded + learned.weight * (kinds == kind)
    return embedded


def draw_tokens(coordinates: torch.Tensor, kinds: torch.Tensor, num_cells: int) -> torch.Tensor:
    """`draw_prompts` of points (N, t, 2) of some kinds (N, t), as `prompt_tokens` gives them."""
    corners = [(coordinates * (kinds == corner)[..., None]).sum(dim=1) for corner in (FIRST_CORNER, LAST_CORNER)]
    known = (kinds == FIRST_CORNER).any(dim=1, keepdim=True)
    boxes = torch.where(known, torch.cat(corners, dim=1), torch.nan)
    signs = (kinds == INSIDE).to(coordinates.dtype) - (kinds == OUTSIDE).to(coordinates.dtype)
    return draw_prompts(boxes, coordinates, signs, num_cells)


def predict_mask(
    decoder: MaskDecoder, source: torch.Tensor, position: torch.Tensor, sparse: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `MaskDecoder.forward` does for one mask per prompt, but every prompt has an embedding of its own.

    Parameters
    ----------
    decoder : MaskDecoder
    source : Tensor of float, shape (N, 256, h, w)
        Embedding of each prompt's image, with what stands for a mask prompt added.
    position : Tensor of float, shape (1, 256, h, w)
    sparse : Tensor of float, shape (N, t, 256)

    Returns
    -------
    logits : Tensor of float, shape (N, 1, 4h, 4w)
    iou : Tensor of float, shape (N,)
    """
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(sparse.shape[0], -1, -1), sparse], dim=1)
    seen, keys = decoder.transformer(source, position, tokens)
    pixels = decoder.output_upscaling(keys.transpose(1, 2).unflatten(2, source.shape[2:]))
    filters = decoder.output_hypernetworks_mlps[MASK_TOKEN](seen[:, 1 + MASK_TOKEN])
    logits = (filters[:, None] @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])
    return logits, decoder.iou_prediction_head(seen[:, 0])[:, MASK_TOKEN]


def freeze(module: nn.Module) -> nn.Module:
    """The module itself; its weights need no gradient any more."""
    return module.requires_grad_(False)


def freeze_for_training(network: SamMyelin, *, finetune_encoder: bool = False) -> SamMyelin:
    """Leave what is trained: the mask decoder, less its parts for ambiguous prompts and the expected IoU.

    The segmenter has a training of its own. What has no part in the logits would get no gradient; frozen, it needs no
    search by DistributedDataParallel.

    Parameters
    ----------
    network : SamMyelin
    finetune_encoder : bool
        Whether the encoders of images and prompts are trained too, which needs images, not embeddings.

    Returns
    -------
    SamMyelin
        The network itself.
    """
    network.requires_grad_(True)
    freeze(network.segmenter)
    if not finetune_encoder:
        freeze(network.prompt_encoder)
        freeze(network.image_encoder)
    freeze(network.prompt_encoder.no_mask_embed if network.draws_prompts else network.prompt_encoder.mask_downscaling)
    freeze(network.mask_decoder.iou_prediction_head)
    for token, mlp in enumerate(network.mask_decoder.output_hypernetworks_mlps):
        if token != MASK_TOKEN:
            freeze(mlp)
    return network
