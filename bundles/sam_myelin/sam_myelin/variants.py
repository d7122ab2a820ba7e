"""Segment Anything in Meta's three sizes, and in one that a laptop can train."""

from functools import partial
from typing import NamedTuple

from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from .common.errors import InputError
from .normalisation import MEAN, STD
from .pyramid import EMBEDDING_CHANNELS, FeaturePyramid

__all__ = ["EFFICIENT", "META_IMAGE_SIZE", "PATCH_PX", "VARIANTS", "build_sam"]

PATCH_PX = 16
META_IMAGE_SIZE = 1024
EFFICIENT = "efficient"  # the variant of our own
WINDOW = 14


class Encoder(NamedTuple):
    """What the image encoders differ in: channels, blocks, heads, and the blocks that attend to the whole image."""

    width: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]


META_ENCODERS = {
    "vit_b": Encoder(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Encoder(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Encoder(1280, 32, 16, (7, 15, 23, 31)),
}
VARIANTS = (EFFICIENT, *META_ENCODERS)


def build_sam(variant: str, *, image_size: int = META_IMAGE_SIZE) -> Sam:
    """Segment Anything with random weights.

    Prompt encoder and mask decoder are the same in every variant, 6 220 and 4 058 340 parameters. With the image
    encoder, ``vit_b`` has 93 735 472, ``vit_l`` 312 342 832 and ``vit_h`` 641 090 608, as Meta's. ``efficient``, which
    Meta does not have, takes its images from the segmenter: in the place of an image encoder it has a `FeaturePyramid`.

    Parameters
    ----------
    variant : str
        One of `VARIANTS`.
    image_size : int
        Side of the images in pixels, a multiple of 16; 1024 for all but ``efficient``, as their weights are for that.

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
    grid = image_size // PATCH_PX
    return Sam(
        image_encoder=FeaturePyramid(image_size) if variant == EFFICIENT else _vision_transformer(variant, image_size),
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


def _vision_transformer(variant: str, image_size: int) -> ImageEncoderViT:
    encoder = META_ENCODERS[variant]
    return ImageEncoderViT(
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
    )


def _check(variant: str, image_size: int) -> None:
    if variant not in VARIANTS:
        raise InputError(f"--variant {variant}: unknown; give {', '.join(VARIANTS)}")
    if image_size < PATCH_PX or image_size % PATCH_PX:
        raise InputError(f"--image_size {image_size}: images are cut into patches of 16 pixels; give a multiple of 16")
    if variant != EFFICIENT and image_size != META_IMAGE_SIZE:
        raise InputError(f"--image_size {image_size}: the weights of {variant} are for 1024; give 1024, or {EFFICIENT}")
