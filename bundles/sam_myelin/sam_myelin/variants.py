"""Segment Anything in Meta's three sizes, and in one that a laptop can train."""

import itertools
from functools import partial
from typing import NamedTuple

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from .common.errors import InputError
from .normalisation import MEAN, STD

__all__ = ["EMBEDDING_CHANNELS", "META_IMAGE_SIZE", "PATCH_PX", "TINY", "VARIANTS", "Encoder", "build_sam"]

PATCH_PX = 16
EMBEDDING_CHANNELS = 256
META_IMAGE_SIZE = 1024
TINY = "vit_tiny"  # the variant of our own
WINDOW = 14
STEM_WIDTHS = (32, 64, 128)  # at half, a quarter and an eighth of the image's resolution


class Encoder(NamedTuple):
    """What the image encoders differ in: channels, blocks, heads, and the blocks that attend to the whole image."""

    width: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]


VARIANTS = {
    TINY: Encoder(192, 6, 3, (2, 5)),
    "vit_b": Encoder(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Encoder(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Encoder(1280, 32, 16, (7, 15, 23, 31)),
}


class ConvStem(nn.Module):
    """Tokens of 16 x 16 pixels, made by 3 x 3 convolutions of stride 2.

    In place of one convolution of 16 x 16 pixels: trained from random weights on a dozen micrographs, that one needs
    far longer until it tells myelin from axoplasm. After Xiao et al., Early convolutions help transformers see better,
    NeurIPS 2021, https://arxiv.org/abs/2106.14881. Tokens are normalised too, or the layers after them would begin with
    nearly the same numbers everywhere.

    Parameters
    ----------
    width : int
        Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (3, *STEM_WIDTHS, width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Tokens (B, h, w, width) of images (B, 3, 16 h, 16 w)."""
        return self.layers(image).permute(0, 2, 3, 1)


def build_sam(variant: str, *, image_size: int = META_IMAGE_SIZE) -> Sam:
    """Segment Anything with random weights.

    Prompt encoder and mask decoder are the same in every variant, 6 220 and 4 058 340 parameters. With the image
    encoder, ``vit_b`` has 93 735 472, ``vit_l`` 312 342 832 and ``vit_h`` 641 090 608, as Meta's; ``vit_tiny``, which
    Meta does not have, 7 739 856 for images of any size (encoder 3 675 296).

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    image_size : int
        Side of the images in pixels, a multiple of 16; 1024 for all but ``vit_tiny``, as their weights are for that.

    Returns
    -------
    Sam
        For embeddings of ``image_size`` / 16 and logits of ``image_size`` / 4 pixels; its state dict has the names of
        Meta's checkpoints.

    Raises
    ------
    InputError
        If there is no such variant, or not in this size.
    """
    _check(variant, image_size)
    encoder, grid = VARIANTS[variant], image_size // PATCH_PX
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=image_size,
            patch_size=PATCH_PX,
            embed_dim=encoder.width,
            depth=encoder.depth,
            num_heads=encoder.num_heads,
            global_attn_indexes=encoder.global_blocks,
            out_chans=EMBEDDING_CHANNELS,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=WINDOW,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=EMBEDDING_CHANNELS,
            image_embedding_size=(grid, grid),
            input_image_size=(image_size, image_size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=EMBEDDING_CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=EMBEDDING_CHANNELS, mlp_dim=2048, num_heads=8),
        ),
        pixel_mean=list(MEAN),
        pixel_std=list(STD),
    )
    if variant == TINY:
        _learn_from_few(sam.image_encoder, encoder)
    return sam


def _learn_from_few(image_encoder: ImageEncoderViT, encoder: Encoder) -> None:
    """Make of an image encoder, in place, one that learns from a dozen images and takes images of any size.

    Convolutions make its tokens, weights start small, as timm's vision transformers do (with PyTorch's own numbers
    nothing was learned in 150 steps), and only windows know places, relative ones.
    """
    image_encoder.patch_embed = ConvStem(encoder.width)
    image_encoder.pos_embed = None
    for index in encoder.global_blocks:
        attention = image_encoder.blocks[index].attn
        attention.use_rel_pos = False
        del attention.rel_pos_h, attention.rel_pos_w
    for module in image_encoder.blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)


def _check(variant: str, image_size: int) -> None:
    if variant not in VARIANTS:
        raise InputError(f"--variant {variant}: unknown; give {', '.join(VARIANTS)}")
    if image_size < PATCH_PX or image_size % PATCH_PX:
        raise InputError(f"--image_size {image_size}: images are cut into patches of 16 pixels; give a multiple of 16")
    if variant != TINY and image_size != META_IMAGE_SIZE:
        raise InputError(f"--image_size {image_size}: the weights of {variant} are for 1024; give 1024, or {TINY}")
